"""``manage.py compare_models PAIR A B``: two ranked models on the same items."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.benchmarks.models import SetPair
from leaderboard.board.comparison import compare
from leaderboard.board.lookup import Board, find_row


class Command(BaseCommand):
    """Print the paired comparison of two models on both sets, as text or as JSON."""

    help = "Compare two ranked models of a pair on the items that both were asked."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """PAIR, both models, and the format."""
        parser.add_argument("pair", metavar="PAIR", help="the pair's slug")
        parser.add_argument("models", metavar="MODEL", nargs=2, help="a ranked model's name")
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare and print; exit code 1 for a pair or a model that has no ranking."""
        pairs = SetPair.objects.select_related("public", "private")
        pair = pairs.filter(slug=options["pair"]).first()
        if pair is None:
            raise CommandError("no such pair is registered")
        board = Board.of(pair)
        names = options["models"]
        rows = [find_row(board.snapshot, name) for name in names]
        first, second = rows
        if board.snapshot is None or first is None or second is None:
            missing = []
            for name, row in zip(names, rows, strict=True):
                if row is None:
                    missing.append(name)
            raise CommandError(f"not ranked on {pair.slug}: {', '.join(missing)}")
        comparison = compare(board.snapshot, first, second)
        if options["json"]:
            self.stdout.write(json.dumps(comparison.to_dict()))
            return
        for conclusion in comparison.conclusions(*names):
            self.stdout.write(conclusion)
