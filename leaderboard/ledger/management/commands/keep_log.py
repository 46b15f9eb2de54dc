"""``manage.py keep_log JOURNAL.jsonl``."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluator.contract import LogLine
from evaluator.errors import EvaluatorError
from evaluator.ledger.entries import read_line
from leaderboard.ledger import actions
from leaderboard.ledger.models import Evaluator


class Command(BaseCommand):
    """Stores a log from a file: of an escrow host without a network, or after a broker was lost."""

    help = "Store the lines of a registered evaluator's journal.jsonl that the ledger lacks."

    def add_arguments(self, parser: CommandParser) -> None:
        """The file."""
        parser.add_argument("path", type=Path, metavar="JOURNAL.jsonl")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, store, and print the number of chained lines."""
        lines = read_journal(options["path"])
        known = Evaluator.objects.filter(name=lines[0].evaluator).first()
        if known is None:
            raise CommandError("register its evaluator first")
        try:
            actions.store_log(evaluator=known, lines=lines)
        except EvaluatorError as failure:
            raise CommandError(str(failure)) from None
        known.refresh_from_db()
        self.stdout.write(f"{known.name}: {known.head_index + 1} lines")


def read_journal(path: Path) -> list[LogLine]:
    """Return the lines of a journal, at least one. Raises ``CommandError``."""
    try:
        written = path.read_bytes().splitlines()
        lines = [read_line(json.loads(line)) for line in written]
    except (OSError, ValueError, RecursionError, EvaluatorError):
        raise CommandError("the file is not a journal") from None
    if not lines:
        raise CommandError("the journal has no line")
    return lines
