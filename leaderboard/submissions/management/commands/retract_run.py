"""``manage.py retract_run RUN``."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Lets a run count for nothing: not on the board, not for a release. What it came to is kept."""

    help = "Retract a run."

    def add_arguments(self, parser: CommandParser) -> None:
        """RUN."""
        parser.add_argument("run", type=UUID, metavar="RUN")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it and say so."""
        try:
            run = actions.retract_run(run=options["run"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{run}: retracted")
