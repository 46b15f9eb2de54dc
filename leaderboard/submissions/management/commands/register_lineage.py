"""``manage.py register_lineage NAME [--parent NAME …] [--model MODEL …]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Enters a pretraining lineage with what it was made from, and the models that belong to it."""

    help = "Register a lineage, its parents, and models of it."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME, parents and models."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--parent", action="append", default=[], metavar="NAME", help="what it was made from")
        parser.add_argument("--model", action="append", default=[], metavar="MODEL", help="a model of this lineage")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and say so."""
        try:
            with transaction.atomic():
                lineage = actions.register_lineage(name=options["name"], parents=options["parent"])
                for model in options["model"]:
                    actions.assign_lineage(model=model, lineage=lineage.name)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{lineage}: {', '.join(options['model']) or 'no model named'}")
