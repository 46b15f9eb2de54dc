"""``manage.py withdraw_pair SLUG --reason REASON --by USER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Withdraws a pair that was registered by mistake, in public; cancels its waiting runs."""

    help = "Withdraw a pair for ever; refused once a run on it has a result."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, the reason and the maintainer."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("--reason", required=True, choices=SetPair.Withdrawal.values)
        parser.add_argument("--by", required=True, metavar="USER", help="a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say so."""
        try:
            by = person(username=options["by"])
            pair = actions.withdraw_pair(
                slug=options["slug"],
                reason=options["reason"],
                by=by,
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(
            f"{pair.slug}: {pair.published_state}, {pair.get_withdrawn_why_display()}"
        )
