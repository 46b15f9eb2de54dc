"""Output of a command: one JSON object, or one fact a line."""

import argparse
import json
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
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
