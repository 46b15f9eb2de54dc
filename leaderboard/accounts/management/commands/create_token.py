"""``manage.py create_token USER``: print a new API token."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts import actions
from leaderboard.accounts.models import Scope, User


class Command(BaseCommand):
    """Prints the token's secret. A new user is created without a password."""

    help = "Make an API token for USER, who is enrolled first where there is none of this name."

    def add_arguments(self, parser: CommandParser) -> None:
        """USER, and the token's name."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--name", default="command line")
        parser.add_argument("--scope", choices=Scope.values, default=Scope.SUBMIT.value)
        parser.add_argument("--days", type=int, help="until it expires (default: never)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Issue and print."""
        name = options["user"]
        try:
            User._meta.get_field("username").run_validators(name)
        except ValidationError:
            raise CommandError("a user's name has letters, digits and @.+-_ only") from None
        if options["days"] is not None and options["days"] < 1:
            raise CommandError("--days is at least 1")
        self.stdout.write(
            actions.issue_token(
                user=actions.enrol(username=name),
                name=options["name"],
                scope=Scope(options["scope"]),
                days=options["days"],
            )
        )
