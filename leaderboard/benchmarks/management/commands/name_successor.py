"""``manage.py name_successor SLUG SET``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.benchmarks import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Names the sealed set that follows a pair's private one; a release needs it."""

    help = "Name the sealed set that takes over when a pair is released."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG and SET."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("successor", metavar="SET")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the set and print the result."""
        try:
            pair = actions.name_successor(slug=options["slug"], successor=options["successor"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{pair.slug}: {pair.private} is followed by {pair.successor}")
