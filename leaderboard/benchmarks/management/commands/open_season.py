"""``manage.py open_season SLUG``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.benchmarks import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Gives self-declared endpoints the next block of a sealed set."""

    help = "Open the next season of a pair for self-declared endpoints."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG."""
        parser.add_argument("slug", metavar="SLUG")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the set and print the result."""
        try:
            pair = actions.open_season(slug=options["slug"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{pair.slug}: season {pair.season}")
