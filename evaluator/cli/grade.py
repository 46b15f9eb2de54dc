"""``grade``: grade a file of responses without asking any model."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from evaluator import grading
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``grade``."""
    command = commands.add_parser("grade", help="grade a file of responses")
    command.add_argument("file", type=Path, help="JSON lines with response and gold; cut (true or false) is optional")
    command.add_argument("--grader", required=True, help=f"one of: {', '.join(grading.ids())}")
    command.add_argument("--json", action="store_true", help="print the counts as one JSON object last")
    command.set_defaults(handler=grade_command)


def grade_command(args: argparse.Namespace) -> int:
    """Write an {"outcome", "extracted"} line for each line of the file, as it is read. Returns 0.

    Raises ``unknown_grader`` before the file is opened, and ``responses_unreadable`` with the line's
    number; the lines before it have been graded and written by then.
    """
    grading.digest(args.grader)
    counts: Counter[str] = Counter()
    try:
        with args.file.open("rb") as lines:
            for grade in _graded(lines, args.grader):
                outcome = grade.outcome.name.lower()
                counts[outcome] += 1
                print(json.dumps({"outcome": outcome, "extracted": grade.extracted}))
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(args.file)) from None
    _print_counts(counts, as_json=args.json)
    return 0


def _graded(lines: IO[bytes], grader: str) -> Iterator[grading.Grade]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            response, gold, cut = _fields(json.loads(line.decode("utf-8-sig")))
            yield grading.grade(grader, response, gold, cut=cut)
        except (ValueError, RecursionError, EvaluatorError):
            raise error(Code.RESPONSES_UNREADABLE, f"line {number}") from None


def _fields(record: object) -> tuple[str, str, bool]:
    match record:
        case {"response": str(response), "gold": str(gold), "cut": bool(cut)}:
            return response, gold, cut
        case {"response": str(response), "gold": str(gold), **rest} if "cut" not in rest:
            return response, gold, False
    raise error(Code.RESPONSES_UNREADABLE)


def _print_counts(counts: Counter[str], *, as_json: bool) -> None:
    every = {outcome.name.lower(): counts[outcome.name.lower()] for outcome in Outcome}
    if as_json:
        print(json.dumps({"n": counts.total()} | every))
    else:
        print(f"n {counts.total()}  " + "  ".join(f"{k} {v}" for k, v in every.items() if v), file=sys.stderr)
