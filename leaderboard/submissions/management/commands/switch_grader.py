"""``manage.py switch_grader SLUG GRADER --by USER [--leave-out]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Makes a pair's board from another grader's outcomes, once the runs have been graded again."""

    help = "Make the board of a pair by another grader."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, GRADER and USER."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("grader", metavar="GRADER")
        parser.add_argument("--by", required=True, metavar="USER", help="a maintainer")
        parser.add_argument(
            "--leave-out", action="store_true", help="also where runs have not been graded again"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Switch and print the board's grader."""
        try:
            pair = actions.switch_grader(
                slug=options["slug"],
                grader=options["grader"],
                by=person(username=options["by"]),
                leave_out=options["leave_out"],
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{pair.slug}: the board is made of {pair.board_grader}")
