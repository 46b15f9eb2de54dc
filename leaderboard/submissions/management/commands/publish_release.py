"""``manage.py publish_release SLUG BUNDLE --by USER``."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Verifies a signed bundle as third parties do, stores it and releases the pair."""

    help = "Publish the bundle of a proposed release. Another maintainer must have proposed it."

    def add_arguments(self, parser: CommandParser) -> None:
        """SLUG, BUNDLE and USER."""
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument(
            "bundle",
            type=Path,
            metavar="BUNDLE",
            help="the folder that the evaluator wrote",
        )
        parser.add_argument("--by", required=True, metavar="USER", help="another maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish and print the released set."""
        try:
            by = person(username=options["by"])
            release = actions.publish(
                slug=options["slug"],
                bundle=options["bundle"],
                by=by,
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{options['slug']}: {release.item_set} is released")
