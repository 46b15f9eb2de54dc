"""``manage.py snapshot [--verify]``."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings import snapshots
from leaderboard.rankings.models import Cohort, PublishedSnapshot, PublishedTable, Snapshot

SAID = {
    True: "the same to the last bit",
    False: "DIFFERS from what it was made of",
    None: "made of other inputs, or by another method",
}


class Command(BaseCommand):
    """Analyses published tables that this version has not analysed, or computes what is shown once more."""

    help = "Analyse the published tables anew, or (--verify) compute again what pages show and compare every bit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--verify``."""
        parser.add_argument(
            "--verify",
            action="store_true",
            help="compare only; exit code 1 where something differs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """One line for each snapshot that is shown."""
        if not options["verify"]:
            for table in PublishedTable.objects.order_by("pk"):
                snapshot = snapshots.analyse(table).save()
                self.stdout.write(
                    f"{table.slug}: {snapshot.method}, inputs {snapshot.inputs_hash[:12]}"
                )
            return
        verdicts = [*_boards(), *_cohorts(), *_published()]
        for name, verdict in verdicts:
            self.stdout.write(f"{name}: {SAID[verdict]}")
        if any(verdict is False for _, verdict in verdicts):
            raise CommandError("a snapshot is not what its inputs make")


def _cohorts() -> Iterator[tuple[str, bool | None]]:
    for cohort in Cohort.objects.select_related("pair__public", "pair__private").order_by("pk"):
        yield f"cohort {cohort.number} of {cohort.pair.slug}", snapshots.cohorts.recompute(cohort)


def _boards() -> Iterator[tuple[str, bool | None]]:
    for pair in SetPair.objects.select_related("public", "private").order_by("pk"):
        snapshot = Snapshot.objects.current(pair)
        if snapshot is not None:
            yield f"board {pair.slug}", snapshots.recompute(snapshot)


def _published() -> Iterator[tuple[str, bool | None]]:
    for table in PublishedTable.objects.order_by("pk"):
        snapshot = PublishedSnapshot.objects.current(table)
        if snapshot is not None:
            yield f"published {table.slug}", snapshots.analyse(table).confirms(snapshot)
