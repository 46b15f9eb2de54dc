"""``manage.py reset_second_factor USER --by MAINTAINER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Lets a user who lost the second factor sign in by password, to set up another."""

    help = "Delete the second factors of USER, who has lost them."

    def add_arguments(self, parser: CommandParser) -> None:
        """USER, and the maintainer who decides it."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--by", required=True, metavar="MAINTAINER")

    def handle(self, *args: Any, **options: Any) -> None:
        """Delete them and print how many."""
        try:
            maintainer = actions.person(username=options["by"])
            if not maintainer.is_staff:
                raise CommandError("--by names a maintainer")
            actions.record_act(
                actor=maintainer.username, act="reset_second_factor", subject=options["user"]
            )
            deleted = actions.reset_second_factor(username=options["user"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{options['user']}: {deleted} deleted")
