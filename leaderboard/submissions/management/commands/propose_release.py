"""``manage.py propose_release SLUG --by USER [--withdraw]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Freezes the evidence of a releasable pair, so that maintainers can sign it."""

    help = "Propose a pair's release: its evidence is frozen."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG and USER."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("--by", required=True, metavar="USER", help="a maintainer")
        parser.add_argument("--withdraw", action="store_true", help="withdraw the proposal")

    def handle(self, *args: Any, **options: Any) -> None:
        """Propose or withdraw, and print the state."""
        act = actions.withdraw if options["withdraw"] else actions.propose
        try:
            by = person(username=options["by"])
            pair = act(slug=options["slug"], by=by)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{pair.slug}: {pair.state}")
