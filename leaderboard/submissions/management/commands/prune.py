"""``manage.py prune [--dry-run]``."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.errors import SiteError, quiet_database
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Deletes rows that are no longer read, as the housekeeping does every hour."""

    help = "Delete old receipts, job specifications, counts of refused reports, and transcripts."

    def add_arguments(self, parser: CommandParser) -> None:
        """--dry-run."""
        parser.add_argument("--dry-run", action="store_true", help="count them only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete or count, and print the number of each kind."""
        try:
            with quiet_database():
                pruned = actions.prune(dry_run=options["dry_run"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        for name, count in asdict(pruned).items():
            self.stdout.write(f"{name.replace('_', ' ')}: {count}")
