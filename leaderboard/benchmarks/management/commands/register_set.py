"""``manage.py register_set PATH [--sealed] [--head HEAD]``."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.benchmarks import actions
from leaderboard.errors import SiteError


class Command(BaseCommand):
    """Registers a set by its public facts, never by its items."""

    help = (
        "Register a sealed set by its manifest.json, "
        "or a public one by the JSON that 'inspect --json' writes."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """PATH, --sealed and --head."""
        parser.add_argument("path", type=Path, metavar="PATH")
        parser.add_argument("--sealed", action="store_true")
        parser.add_argument(
            "--head", type=Path, metavar="HEAD", help="a sealed set's signed tree head"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, register and print the set."""
        try:
            data = json.loads(options["path"].read_bytes())
        except (OSError, ValueError):
            raise CommandError("the file cannot be read as JSON") from None
        try:
            head = options["head"].read_text(encoding="utf-8") if options["head"] else ""
        except (OSError, UnicodeError):
            raise CommandError("the head cannot be read") from None
        try:
            item_set = actions.register_set(data=data, sealed=options["sealed"], head=head)
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{item_set.name}: {item_set.n} items, {item_set.digest}")
