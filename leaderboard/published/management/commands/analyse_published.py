"""``manage.py analyse_published [--verify]``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.evidence.formats import REPRODUCED
from leaderboard.published.analysis import analyse
from leaderboard.published.models import PublishedSnapshot, PublishedTable


class Command(BaseCommand):
    """Analyse published tables by this version's method, or compare pages with a new analysis."""

    help = "Analyse the published tables anew, or (--verify) recompute what pages show and compare."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--verify``."""
        parser.add_argument(
            "--verify",
            action="store_true",
            help="compare only; exit code 1 where something differs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line for each table."""
        differs = False
        for table in PublishedTable.objects.order_by("pk"):
            if not options["verify"]:
                snapshot = analyse(table).save()
                self.stdout.write(
                    f"{table.slug}: {snapshot.method}, inputs {snapshot.inputs_hash[:12]}"
                )
                continue
            shown = PublishedSnapshot.objects.current(table)
            if shown is not None:
                result = analyse(table).confirms(shown)
                differs |= result is False
                self.stdout.write(f"published {table.slug}: {REPRODUCED[result]}")
        if differs:
            raise CommandError("a snapshot is not what its inputs make")
