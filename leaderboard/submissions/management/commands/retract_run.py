"""``manage.py retract_run RUN --reason REASON --by USER``."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run


class Command(BaseCommand):
    """Retracts a run in public: it has no rank and counts for no release."""

    help = "Retract a run for good. Its page states the reason and who retracted it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the run, the reason and the maintainer."""
        parser.add_argument("run", type=UUID, metavar="RUN")
        parser.add_argument("--reason", required=True, choices=Run.Retraction.values)
        parser.add_argument("--by", required=True, metavar="USER", help="a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Retract the run and print the reason."""
        try:
            by = person(username=options["by"])
            run = actions.retract_run(
                run=options["run"],
                reason=options["reason"],
                by=by,
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{run}: retracted, {run.get_retracted_why_display()}")
