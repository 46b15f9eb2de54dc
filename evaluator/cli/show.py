"""Output of a command: one JSON object, or one fact a line."""

import argparse
import json
from collections.abc import Collection, Sequence
from typing import Any


def show(args: argparse.Namespace, facts: dict[str, Any]) -> int:
    """Print the facts; with ``--json`` as one object on one line. Returns the exit code 0."""
    if args.json:
        print(json.dumps(facts))
        return 0
    for name, value in facts.items():
        print(f"{name:14} {_words(value)}")
    return 0


def _words(value: object) -> object:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_words(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return value


def printable(text: str) -> str:
    """Return a text without what moves a terminal's cursor or changes its state."""
    return "".join(character if character.isprintable() else " " for character in text)


def columns(rows: Sequence[Sequence[str]], right_aligned: Collection[int] = ()) -> str:
    """Return rows of cells as columns, each as wide as its widest cell."""
    table = [[printable(cell) for cell in row] for row in rows]
    widths = []
    for column in zip(*table, strict=True):
        widths.append(max(map(len, column)))
    lines = []
    for row in table:
        cells = []
        for place, width in enumerate(widths):
            if place in right_aligned:
                cells.append(row[place].rjust(width))
            else:
                cells.append(row[place].ljust(width))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
