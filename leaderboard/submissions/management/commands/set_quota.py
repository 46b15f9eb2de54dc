"""``manage.py set_quota RUNS --organisation NAME --pair SLUG --reason TEXT --by USER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Sets the official runs of an organisation, of a benchmark, or of both."""

    help = (
        "Set how many official runs there are in the days of HOLDFAST_QUOTA_DAYS. Without "
        "--organisation for all, without --pair on all. The newest setting counts."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the number, whose it is, the reason and the maintainer."""
        parser.add_argument("runs", type=int, metavar="RUNS")
        parser.add_argument("--organisation", default="", metavar="NAME")
        parser.add_argument("--pair", default="", metavar="SLUG")
        parser.add_argument("--reason", required=True, metavar="TEXT", help="stays in the ledger")
        parser.add_argument("--by", required=True, metavar="USER", help="a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set it and print it."""
        try:
            entry = actions.set_limit(
                organisation=options["organisation"],
                pair=options["pair"],
                runs=options["runs"],
                reason=options["reason"],
                by=person(username=options["by"]),
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        whose = entry.organisation or "every organisation"
        self.stdout.write(f"{whose} on {entry.pair or 'every benchmark'}: {entry.runs} runs")
