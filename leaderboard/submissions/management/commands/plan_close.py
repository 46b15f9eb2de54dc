"""``manage.py plan_close [PAIR MOMENT --by USER]``: plan a close, or list the planned ones."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Plans, withdraws and lists closes."""

    help = "Plan the close of a pair's board. Without arguments list the planned closes."

    def add_arguments(self, parser: CommandParser) -> None:
        """PAIR, MOMENT, ``--withdraw``, ``--by``."""
        parser.add_argument("pair", nargs="?", default="", metavar="PAIR")
        parser.add_argument(
            "at",
            nargs="?",
            default="",
            metavar="MOMENT",
            help="such as 2030-01-31T12:00, in UTC",
        )
        parser.add_argument("--withdraw", type=int, metavar="ID", help="withdraw a planned close")
        parser.add_argument("--by", default="", metavar="USER", help="a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Act, then list what is planned."""
        try:
            if options["withdraw"]:
                by = person(username=options["by"])
                actions.withdraw_close(plan=options["withdraw"], by=by)
            elif options["pair"]:
                by = person(username=options["by"])
                at = moment(options["at"])
                actions.plan_close(pair=options["pair"], at=at, by=by)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        for plan in actions.planned_closes():
            self.stdout.write(f"{plan.pk}: {plan.pair.slug} on {plan.at:%Y-%m-%d %H:%M} UTC")


def moment(text: str) -> datetime:
    """Return a moment, in UTC where it names no offset. Raises ``CommandError``."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError("MOMENT is a date and a time, such as 2030-01-31T12:00") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
