"""``manage.py publish_overlap REPORT.json --corpus NAME --by USER``."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.accounts.actions import person
from leaderboard.benchmarks.overlaps import publish_overlap
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Publishes the overlap of a public set with a corpus."""

    help = "Publish report.json of holdfast overlap, of a registered public set."

    def add_arguments(self, parser: CommandParser) -> None:
        """Accept REPORT.json, and the facts that the file does not hold."""
        parser.add_argument("path", type=Path, metavar="REPORT.json")
        parser.add_argument("--corpus", required=True, help="name of the corpus")
        parser.add_argument("--address", default="", help="where the corpus is described")
        parser.add_argument("--model", default="", help="model of the run whose score it has")
        parser.add_argument("--by", required=True, metavar="USER", help="a maintainer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Publish the report and print its set."""
        try:
            data = json.loads(options["path"].read_bytes())
        except (OSError, ValueError, RecursionError):
            raise CommandError("the file cannot be read as JSON") from None
        try:
            overlap = publish_overlap(
                data=data,
                by=person(username=options["by"]),
                **{name: options[name] for name in ("corpus", "address", "model")},
            )
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{overlap.item_set}: overlap with {overlap.corpus} is published")
