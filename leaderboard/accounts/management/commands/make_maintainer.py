"""``manage.py make_maintainer USER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Lets a user register sets, read exposure reports, and propose or publish a release."""

    help = "Make USER a maintainer; with --end, no longer."

    def add_arguments(self, parser: CommandParser) -> None:
        """USER."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--end", action="store_true", help="end it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the user and print the result."""
        try:
            user = actions.set_maintainer(username=options["user"], maintains=not options["end"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{user}: {'maintainer' if user.is_staff else 'no maintainer'}")
