"""``manage.py name_reference PAIR MODEL (--because WORDS | --drop)``."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import SiteError
from leaderboard.evidence import actions
from leaderboard.evidence.models import Reference


class Command(BaseCommand):
    """Names or drops a reference of a pair, from the next close of the board on."""

    help = (
        "Hold a model for not fitted to a pair's public set, so that others are compared with it;"
        " or drop it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add PAIR, MODEL and one of ``--because WORDS`` and ``--drop``."""
        parser.add_argument("pair", metavar="PAIR", help="the pair's slug")
        parser.add_argument("model", metavar="MODEL", help="the model's name")
        change = parser.add_mutually_exclusive_group(required=True)
        change.add_argument(
            "--because", metavar="WORDS", help="the evidence, for readers; at most 300 characters"
        )
        change.add_argument("--drop", action="store_true", help="stop holding the model for clean")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the reference and print the number of references that the pair has now."""
        pair = SetPair.objects.filter(slug=options["pair"]).first()
        if pair is None:
            raise CommandError("no such pair is registered")
        try:
            if options["drop"]:
                actions.drop_reference(pair=pair, model=options["model"])
            else:
                actions.name_reference(pair=pair, model=options["model"], why=options["because"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{pair.slug}: {Reference.objects.filter(pair=pair).count()} references")
