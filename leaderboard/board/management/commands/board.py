"""``manage.py board``: the ranking in a terminal."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import exports
from leaderboard.board.index import Benchmark, benchmarks
from leaderboard.board.lookup import Board
from leaderboard.board.models import mark_verified
from leaderboard.board.rows import Row
from leaderboard.evidence import formats

HEADINGS = ("rank", "model", "private", "", "public", "", "gap, pp", "95% interval", "evidence")
RIGHT_ALIGNED = (2, 3, 4, 5, 6, 7)
LIST_HEADINGS = (
    "pair", "title", "protocol", "state", "models", "leader", "private", "last close", "next close",
)  # fmt: skip
LIST_RIGHT_ALIGNED = (4, 6)


class Command(BaseCommand):
    """Print the newest ranking of a pair, or the list of benchmarks, as a table or as JSON."""

    help = "Print the newest ranking of a pair (the one registered last where none is named)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Accept ``--pair SLUG``, ``--list`` and ``--json``."""
        parser.add_argument("--pair", help="the pair's slug")
        parser.add_argument("--list", action="store_true", help="list the benchmarks instead")
        parser.add_argument("--json", action="store_true", help="print one JSON object on one line")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print and return; exit code 1 where the pair is not registered."""
        if options["list"]:
            self._list(as_json=options["json"])
            return
        pairs = SetPair.objects.order_by("-pk")
        if options["pair"] is not None:
            pairs = pairs.filter(slug=options["pair"])
        pair = pairs.first()
        if pair is None:
            raise CommandError("no such pair is registered")
        board = Board.of(pair)
        rows = mark_verified(board.snapshot.ranking()) if board.snapshot else []
        if options["json"]:
            self.stdout.write(json.dumps(exports.as_json(board, rows)))
            return
        if rows:
            self.stdout.write(table([HEADINGS, *map(cells, rows)]))
        else:
            self.stdout.write("No model is ranked yet.")
        for unranked in board.unranked.named:
            self.stdout.write(f"not ranked: {unranked.model} ({unranked.reason})")
        for count in board.unranked.counts():
            self.stdout.write(f"not ranked: {count}")

    def _list(self, *, as_json: bool) -> None:
        entries = benchmarks()
        if as_json:
            data = [entry.to_dict() for entry in entries]
            self.stdout.write(json.dumps(data))
            return
        if not entries:
            self.stdout.write("No benchmark is registered yet.")
            return
        lines = [LIST_HEADINGS, *map(list_cells, entries)]
        self.stdout.write(table(lines, LIST_RIGHT_ALIGNED))


def list_cells(entry: Benchmark) -> tuple[str, ...]:
    """Return one benchmark as text, under :data:`LIST_HEADINGS`."""
    last = f"{entry.last_close:%Y-%m-%d %H:%M}" if entry.last_close else ""
    due = f"{entry.next_close:%Y-%m-%d %H:%M}" if entry.next_close else entry.close_rule
    leader = entry.leader
    return (
        entry.pair.slug,
        entry.pair.title,
        entry.pair.protocol,
        entry.pair.published_state,
        str(entry.models),
        leader.model if leader else "",
        f"{formats.percent(leader.private_accuracy)}%" if leader else "",
        last,
        due,
    )


def cells(row: Row) -> tuple[str, ...]:
    """One row of the table, as text."""
    best, worst = row.rank_range
    lo, hi = (formats.points(end) for end in row.interval)
    return (
        str(best) if best == worst else f"{best}–{worst}",
        row.model if row.tries == 1 else f"{row.model} (1 of {row.tries} runs)",
        f"{formats.percent(row.private.accuracy)}%",
        row.private.fraction,
        f"{formats.percent(row.public.accuracy)}%",
        row.public.fraction,
        formats.points(row.gap),
        f"{lo} to {hi}",
        row.evidence.label,
    )


def table(
    lines: list[tuple[str, ...]],
    right_aligned: tuple[int, ...] = RIGHT_ALIGNED,
) -> str:
    """Return columns as wide as their widest cell, those of numbers aligned to the right."""
    columns = zip(*lines, strict=True)
    widths = [max(map(len, column)) for column in columns]
    text = []
    for line in lines:
        aligned = []
        for column, cell in enumerate(line):
            width = widths[column]
            is_right = column in right_aligned
            aligned.append(cell.rjust(width) if is_right else cell.ljust(width))
        text.append("  ".join(aligned).rstrip())
    return "\n".join(text)
