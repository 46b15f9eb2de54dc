"""``manage.py post_notices NOTICES.jsonl``."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.benchmarks import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Stores maintainers' signed notices: retired blocks, errata, a compromise."""

    help = "Post all signed notices of a sealed set, from its first."

    def add_arguments(self, parser: CommandParser) -> None:
        """NOTICES.jsonl."""
        parser.add_argument("path", type=Path, metavar="NOTICES.jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change the set and print the result."""
        try:
            lines = options["path"].read_bytes().splitlines()
            data = [json.loads(line) for line in lines]
        except (OSError, ValueError):
            raise CommandError("the file cannot be read as JSON lines") from None
        try:
            item_set = actions.post_notices(data=data)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{item_set.name}: version {item_set.version}")
