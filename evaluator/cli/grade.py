"""``grade``: grade a file of responses without a model. ``graders``: list the graders."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from evaluator import grading, protocols
from evaluator.cli.options import JSON_OPTION, Commands
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import programs
from evaluator.items import Item, load_items
from evaluator.sandbox.execute import Sandbox

ALL = "all"
_ARRAY = ": a JSON array"
_OF_THE_LINE = (
    Code.RESPONSES_UNREADABLE,
    Code.SET_GOLD_NOT_NUMERIC,
    Code.SET_GOLD_UNREADABLE,
)
_Graded = tuple[grading.Grade, ...]
Execute = Callable[[str, str, Item, bool], grading.Grade]
"""Grades a response by a grader that executes programs, given the item and ``cut``."""


def add_commands(commands: Commands) -> None:
    """Add ``grade`` and ``graders``."""
    command = commands.add_parser("grade")
    command.add_argument(
        "file",
        type=Path,
        help="JSON lines with response and gold, both text; cut (true or false) is optional;"
        " with --items no gold, and index is optional",
    )
    command.add_argument(
        "--grader",
        required=True,
        action="append",
        help=f"one of: {', '.join(grading.ids())};"
        " numeric, strict and flexible for short;"
        f" may be given several times, and '{ALL}' is each that reads numbers",
    )
    command.add_argument(
        "--items",
        type=Path,
        metavar="ITEMS.jsonl",
        help="the set that was asked: its items have the gold answers, by index (from 0) or in the"
        " order of the lines; needed where programs are executed",
    )
    command.add_argument(
        "--protocol",
        choices=protocols.ids(),
        metavar="PROTOCOL",
        help="the protocol that was asked, which puts a program's beginning before a response"
        " (default: a response is a whole program)",
    )
    command.add_argument(
        "--json", action="store_true", help="print the counts as one JSON object last"
    )
    command.set_defaults(handler=grade_command)
    listing = commands.add_parser("graders", parents=[JSON_OPTION])
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
    each, under its id. Raises ``unknown_grader``, ``grader_unfit`` and ``sandbox_missing`` before
    the file is opened, and ``responses_unreadable`` with the line's number; the lines before it
    have been graded and written by then.
    """
    graders = _graders(args.grader)
    counts = {grader: Counter[str]() for grader in graders}
    items = load_items(args.items) if args.items else None
    for grader in graders:
        if items is None and grading.executes(grader):
            raise error(Code.GRADER_UNFIT, f"{grader} needs --items")
        if items is not None and items[0].kind not in grading.kinds(grader):
            raise error(Code.GRADER_UNFIT, f"{grader} of items of kind {items[0].kind}")
    try:
        with (
            _execution(graders, args.protocol) as execute,
            args.file.open("rb") as lines,
        ):
            for grades in graded_lines(lines, graders, items, execute):
                records = {}
                for grader, grade in zip(graders, grades, strict=True):
                    outcome = grade.outcome.name.lower()
                    counts[grader][outcome] += 1
                    records[grader] = {"outcome": outcome, "extracted": grade.extracted}
                several = len(graders) > 1
                print(json.dumps(records if several else records[graders[0]]))
    except OSError:
        raise error(Code.RESPONSES_UNREADABLE, str(args.file)) from None
    _print_counts(counts, as_json=args.json)
    return 0


def _graders(names: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of the graders, each once, in the order given."""
    wanted: list[str] = []
    for name in names:
        if name == ALL:
            wanted += grading.alternatives(grading.HEADLINE)
        else:
            wanted.append(grading.resolve(name))
    return tuple(dict.fromkeys(wanted))


@contextmanager
def _execution(graders: Sequence[str], protocol: str | None) -> Iterator[Execute]:
    """Return a way to grade a program by executing it; the sandbox is there if it is needed."""
    asked = protocols.get(protocol) if protocol else None
    with ExitStack() as stack:
        executed = any(map(grading.executes, graders))
        sandbox = stack.enter_context(Sandbox(programs.LIMITS)) if executed else None

        def execute(
            grader: str,
            response: str,
            item: Item,
            cut: bool,
        ) -> grading.Grade:
            assert sandbox is not None  # noqa: S101 - a grader executes
            written = asked.graded(response) if asked else response
            program = asked.program_of(item, written) if asked else written
            return programs.grade(
                sandbox.execute,
                grader,
                program,
                item,
                written=written,
                cut=cut,
            )

        yield execute


def graded_lines(
    lines: IO[bytes],
    graders: Sequence[str],
    items: Sequence[Item] | None = None,
    execute: Execute | None = None,
) -> Iterator[_Graded]:
    """Yield the grades of each response by each grader.

    The gold answers are those of the lines, or of ``items``. Raises ``responses_unreadable`` with
    the number of the line, and what ``execute`` raises.
    """
    place = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig"))
            item = None if items is None else _item(record, items, place)
            yield _grades(record, item, graders, execute)
        except EvaluatorError as refused:
            if refused.code not in _OF_THE_LINE:
                raise
            kind = f": {refused.detail}" if refused.detail else ""
            raise error(Code.RESPONSES_UNREADABLE, f"line {number}{kind}") from None
        except (ValueError, RecursionError):
            first = line.lstrip(b"\xef\xbb\xbf").strip()
            is_array = number == 1 and first == b"["
            kind = _ARRAY if is_array else ""
            raise error(Code.RESPONSES_UNREADABLE, f"line {number}{kind}") from None
        place += 1


def _grades(
    record: object,
    item: Item | None,
    graders: Sequence[str],
    execute: Execute | None,
) -> _Graded:
    """Return the grades of one response, in the order of the graders."""
    response, gold, cut = _fields(record, item)
    grades = []
    for grader in graders:
        if execute and item and grading.executes(grader):
            grades.append(execute(grader, response, item, cut))
        else:
            grades.append(grading.grade(grader, response, gold, cut=cut))
    return tuple(grades)


def _item(record: object, items: Sequence[Item], place: int) -> Item:
    """Return the item that a line answers: that of its index, or of its place."""
    index = place
    if isinstance(record, dict):
        index = record.get("index", place)
    is_number = isinstance(index, int) and not isinstance(index, bool)
    if not is_number or not 0 <= index < len(items):
        raise error(Code.RESPONSES_UNREADABLE, "no item of this index")
    return items[index]


def _fields(record: object, item: Item | None) -> tuple[str, str, bool]:
    """Return response, gold and cut of one line; a response of null is an empty one."""
    if isinstance(record, dict) and item is not None:
        record = record | {"gold": item.gold}
    if isinstance(record, dict):
        record = {"cut": False, **record}
    match record:
        case {"response": str() | None as response, "gold": str(gold), "cut": bool(cut)}:
            return response or "", gold, cut
        case [dict(), *_]:
            raise error(Code.RESPONSES_UNREADABLE, _ARRAY.removeprefix(": "))
    raise error(Code.RESPONSES_UNREADABLE)


def _print_counts(
    counts: dict[str, Counter[str]],
    *,
    as_json: bool,
) -> None:
    """Print the counts; of several graders those of each, under its id."""
    names = [outcome.name.lower() for outcome in Outcome]
    records = {}
    for grader, counted in counts.items():
        record = {"n": counted.total()}
        for name in names:
            record[name] = counted[name]
        records[grader] = record
    first = next(iter(records.values()))
    several = len(records) > 1
    if as_json:
        whole = {"n": first["n"], "graders": records}
        print(json.dumps(whole if several else first))
        return
    for grader, record in records.items():
        shown = []
        for name, value in record.items():
            if value or name == "n":
                shown.append(f"{name} {value}")
        line = "  ".join(shown)
        print(f"{grader}: {line}" if several else line, file=sys.stderr)
