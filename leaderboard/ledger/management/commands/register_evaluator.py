"""``manage.py register_evaluator identity.json [--pool default]``."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from leaderboard.errors import SiteError
from leaderboard.ledger import actions


class Command(BaseCommand):
    """Registers an evaluator's public keys, by which the site verifies its reports."""

    help = "Register an evaluator by the identity.json that 'python -m evaluator keygen' wrote."

    def add_arguments(self, parser: CommandParser) -> None:
        """The file and the pool."""
        parser.add_argument("path", type=Path, metavar="IDENTITY")
        parser.add_argument("--pool", default=settings.POOL)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, register and print the evaluator."""
        try:
            identity = json.loads(options["path"].read_bytes())
        except (OSError, ValueError):
            raise CommandError("the file cannot be read as JSON") from None
        try:
            evaluator = actions.register_evaluator(identity=identity, pool=options["pool"])
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{evaluator.name} in pool {evaluator.pool}")
