"""``manage.py snapshot [--verify]``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board.models import Snapshot
from leaderboard.board.snapshot import recompute
from leaderboard.evidence import decide
from leaderboard.evidence.formats import REPRODUCED
from leaderboard.evidence.models import Cohort


class Command(BaseCommand):
    """Bring every board up to date, or compute once more what pages show and compare every bit."""

    help = "Bring every board up to date, or (--verify) recompute boards and cohorts and compare."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--verify``."""
        parser.add_argument(
            "--verify",
            action="store_true",
            help="compare only; exit code 1 where something differs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line for each snapshot that is shown."""
        if not options["verify"]:
            for pair in SetPair.objects.order_by("pk"):
                snapshot = actions.rebuild(pair=pair)
                self.stdout.write(
                    f"{pair.slug}: {snapshot.method}, inputs {snapshot.inputs_hash[:12]}"
                )
            return
        results: list[tuple[str, bool | None]] = []
        for pair in SetPair.objects.select_related("public", "private").order_by("pk"):
            current = Snapshot.objects.current(pair)
            if current is not None:
                results.append((f"board {pair.slug}", recompute(current)))
        for cohort in Cohort.objects.select_related("pair__public", "pair__private").order_by("pk"):
            name = f"cohort {cohort.number} of {cohort.pair.slug}"
            results.append((name, decide.recompute(cohort)))
        for name, result in results:
            self.stdout.write(f"{name}: {REPRODUCED[result]}")
        if any(result is False for _, result in results):
            raise CommandError("a snapshot is not what its inputs make")
