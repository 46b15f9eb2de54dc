"""``manage.py commit_weights DIGEST --by USER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Records that a user has these weights now: after a release only such weights are ranked."""

    help = "Commit to a checkpoint by its digest, for a user."

    def add_arguments(self, parser: CommandParser) -> None:
        """DIGEST and USER."""
        parser.add_argument(
            "digest", metavar="DIGEST", help="digest of the checkpoint, as the evaluator prints it"
        )
        parser.add_argument("--by", required=True, metavar="USER")

    def handle(self, *args: Any, **options: Any) -> None:
        """Commit and print the moment."""
        try:
            commitment = actions.commit_weights(
                user=person(username=options["by"]), digest=options["digest"]
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{commitment} at {commitment.committed_at:%Y-%m-%dT%H:%M:%SZ}")
