"""``manage.py rename_model MODEL NAME --by USER``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Gives a model another name. The former one leads to it."""

    help = "Rename a model. Its page states both names, and the former one leads to it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the model, its new name, and an owner of its organisation or a maintainer."""
        parser.add_argument("model", metavar="MODEL")
        parser.add_argument("name", metavar="NAME", help="the new name")
        parser.add_argument("--by", required=True, metavar="USER", help="an owner or a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rename the model and print its name."""
        try:
            by = person(username=options["by"])
            model = actions.rename_model(
                name=options["model"],
                new=options["name"],
                by=by,
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{options['model']} is {model.name} now")
