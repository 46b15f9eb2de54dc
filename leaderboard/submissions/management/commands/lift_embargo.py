"""``manage.py lift_embargo RUN --by USER``."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Ends an embargo before its time, for the author of the run."""

    help = "End the embargo of a run: a decided result is shown at once, any other at its close."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the run and its author."""
        parser.add_argument("run", type=UUID, metavar="RUN")
        parser.add_argument("--by", required=True, metavar="USER", help="the run's author")

    def handle(self, *args: Any, **options: Any) -> None:
        """Lift the embargo and print the run's state."""
        try:
            by = person(username=options["by"])
            run = actions.lift_embargo(run=options["run"], by=by)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{run}: the embargo is lifted, {run.state}")
