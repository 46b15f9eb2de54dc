"""``grade``: grade a file of responses without a model. ``graders``: list the graders."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from evaluator import grading
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error

ALL = "all"
_ARRAY = ": a JSON array"
_Graded = tuple[grading.Grade, ...]


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``grade`` and ``graders``."""
    command = commands.add_parser("grade")
    command.add_argument(
        "file",
        type=Path,
        help="JSON lines with response and gold, both text; cut (true or false) is optional",
    )
    command.add_argument(
        "--grader",
        required=True,
        action="append",
        help=f"one of: {', '.join(grading.ids())}; numeric, strict and flexible for short;"
        f" may be given several times, and '{ALL}' is each of them",
    )
    command.add_argument(
        "--json", action="store_true", help="print the counts as one JSON object last"
    )
    command.set_defaults(handler=grade_command)
    listing = commands.add_parser("graders")
    listing.add_argument("--json", action="store_true", help="print one JSON object")
    listing.set_defaults(handler=graders_command)


def graders_command(args: argparse.Namespace) -> int:
    """Print the published graders with the digests of their sources."""
    known = {grader: grading.digest(grader) for grader in grading.ids()}
    if args.json:
        print(json.dumps(known))
    else:
        print("\n".join(f"{name}  {text}" for name, text in known.items()))
    return 0


def grade_command(args: argparse.Namespace) -> int:
    """Write a line for each line of the file, as it is read. Returns 0.

    With one grader a line is ``{"outcome", "extracted"}``; with several it holds such an object for
    each, under its id. Raises ``unknown_grader`` before the file is opened, and
    ``responses_unreadable`` with the line's number; the lines before it have been graded and
    written by then.
    """
    graders = _graders(args.grader)
    counts: dict[str, Counter[str]] = {grader: Counter() for grader in graders}
    try:
        with args.file.open("rb") as lines:
            for grades in graded_lines(lines, graders):
                records = {}
                for grader, grade in zip(graders, grades, strict=True):
                    outcome = grade.outcome.name.lower()
                    counts[grader][outcome] += 1
                    records[grader] = {"outcome": outcome, "extracted": grade.extracted}
                print(json.dumps(records if len(graders) > 1 else records[graders[0]]))
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(args.file)) from None
    _print_counts(counts, as_json=args.json)
    return 0


def _graders(names: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of the graders, each once, in the order given."""
    wanted: list[str] = []
    for name in names:
        wanted += grading.ids() if name == ALL else [grading.resolve(name)]
    return tuple(dict.fromkeys(wanted))


def graded_lines(lines: IO[bytes], graders: Sequence[str]) -> Iterator[_Graded]:
    """Yield the grades of each response by each grader.

    Raises ``responses_unreadable`` with the number of the line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            response, gold, cut = _fields(json.loads(line.decode("utf-8-sig")))
            yield tuple(grading.grade(grader, response, gold, cut=cut) for grader in graders)
        except EvaluatorError as refused:
            kind = f": {refused.detail}" if refused.detail else ""
            raise error(Code.RESPONSES_UNREADABLE, f"line {number}{kind}") from None
        except (ValueError, RecursionError):
            is_array = number == 1 and line.lstrip(b"\xef\xbb\xbf").strip() == b"["
            kind = _ARRAY if is_array else ""
            raise error(Code.RESPONSES_UNREADABLE, f"line {number}{kind}") from None


def _fields(record: object) -> tuple[str, str, bool]:
    """Return response, gold and cut of one line; a response of null is an empty one."""
    match record:
        case {"response": str() | None as response, "gold": str(gold), "cut": bool(cut)}:
            return response or "", gold, cut
        case {"response": str() | None as response, "gold": str(gold), **rest} if "cut" not in rest:
            return response or "", gold, False
        case [dict(), *_]:
            raise error(Code.RESPONSES_UNREADABLE, _ARRAY.removeprefix(": "))
    raise error(Code.RESPONSES_UNREADABLE)


def _print_counts(counts: dict[str, Counter[str]], *, as_json: bool) -> None:
    """Print the counts; of several graders those of each, under its id."""
    names = [outcome.name.lower() for outcome in Outcome]
    records = {}
    for grader, counted in counts.items():
        records[grader] = {"n": counted.total(), **{name: counted[name] for name in names}}
    first = next(iter(records.values()))
    several = len(records) > 1
    if as_json:
        print(json.dumps({"n": first["n"], "graders": records} if several else first))
        return
    for grader, record in records.items():
        shown = {name: value for name, value in record.items() if value or name == "n"}
        line = "  ".join(f"{name} {value}" for name, value in shown.items())
        print(f"{grader}: {line}" if several else line, file=sys.stderr)
