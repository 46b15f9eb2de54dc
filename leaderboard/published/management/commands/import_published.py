"""``manage.py import_published FILE.csv --source CITATION``."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.text import slugify

from leaderboard.errors import SiteError
from leaderboard.published import actions
from leaderboard.published import csv_import as tables
from leaderboard.published.models import PublishedTable

FACTS = ("source", "url", "equally_hard", "same_problems", "ran_by")
"""Options that are stored as they are."""


class Command(BaseCommand):
    """Import a published table as rows with their source, apart from what was run here."""

    help = "Import a published table of public and private scores (columns: docs/operations.md)."

    def add_arguments(self, parser: CommandParser) -> None:
        """Accept FILE, and the facts that the file does not hold."""
        parser.add_argument("path", type=Path, metavar="FILE.csv")
        parser.add_argument(
            "--source", required=True, help="who published it, and where: a citation"
        )
        parser.add_argument(
            "--slug", help="its name in addresses; the file's name where none is given"
        )
        parser.add_argument("--title", help="its heading; the two sets' names where none is given")
        parser.add_argument("--url", default="", help="where the source can be read")
        parser.add_argument("--public", default="", help="the public set's name in the columns")
        parser.add_argument("--private", default="", help="the private set's name in the columns")
        parser.add_argument(
            "--equally-hard",
            default="",
            help="why the authors hold the two sets to be equally hard, if they state it",
        )
        parser.add_argument(
            "--same-problems",
            action="store_true",
            help="both sets have the same problems, judged differently: no gap is tested",
        )
        parser.add_argument("--ran-by", default="", help="a sentence on who ran the models")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the file and print a summary; a known file changes nothing."""
        path: Path = options["path"]
        try:
            data = path.read_bytes()
        except OSError:
            raise CommandError("the file cannot be read") from None
        try:
            table = tables.read(
                data,
                public=options["public"],
                private=options["private"],
            )
            known = PublishedTable.objects.filter(digest=table.digest).exists()
            published = actions.import_published(
                table=table,
                slug=options["slug"] or slugify(path.stem)[:60],
                title=options["title"] or f"{table.public_name} and {table.private_name}",
                **{name: options[name] for name in FACTS},
            )
        except SiteError as failure:
            raise CommandError(f"{failure} {tables.hints(failure.detail)}".strip()) from None
        self.stdout.write(
            f"{published.slug}: {'known already, ' if known else ''}{len(table.lines)} models, "
            f"public {table.public_name}, private {table.private_name}, "
            f"{sum(line.loglik is not None for line in table.lines)} likelihoods"
        )
        if table.unread:
            self.stdout.write(f"columns that were not read: {', '.join(table.unread)}")
