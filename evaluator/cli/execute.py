"""``execute``: execute a file of programs in the sandbox, without a model."""

import argparse
import codecs
import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from evaluator.cli.options import Commands
from evaluator.errors import Code, error
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Job, Program, UnitTested
from evaluator.sandbox.limits import Limits

_SHOWN = 10_000
"""Characters of a value that are printed."""


class _TestedLine(msgspec.Struct, forbid_unknown_fields=True):
    program: str
    tests: Annotated[str, msgspec.Meta(min_length=1)]
    entry: str = ""
    prelude: str = ""

    def job(self) -> Job:
        return UnitTested(self.program, self.tests, self.entry, self.prelude)


class _ValuedLine(msgspec.Struct, forbid_unknown_fields=True):
    program: str
    function: str = ""
    variable: str = ""
    arguments: list[Any] = []

    def job(self) -> Job:
        arguments = tuple(self.arguments)
        return Program(self.program, self.function, self.variable, arguments)


def add_commands(commands: Commands) -> None:
    """Add ``execute``."""
    default = Limits()
    command = commands.add_parser("execute")
    command.add_argument(
        "file",
        type=Path,
        help="JSON lines with program, as text; function or variable names its value, with"
        " arguments for a function; or tests, with entry and prelude",
    )
    command.add_argument(
        "--seconds",
        type=computing_seconds,
        default=default.cpu_seconds,
        help="of computing for each program; default 10",
    )
    command.add_argument(
        "--memory", type=int, default=default.memory >> 20, help="MiB of each program; default 512"
    )
    command.add_argument("--workers", type=int, default=1, help="programs at once; default 1")
    command.add_argument(
        "--json", action="store_true", help="print the counts as one JSON object last"
    )
    command.set_defaults(handler=execute_command)


def computing_seconds(text: str) -> float:
    """Return seconds of computing, above 0 and at most an hour. For argparse."""
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("a number above 0, at most 3600")
    return value


def execute_command(args: argparse.Namespace) -> int:
    """Write a line for each program, in order, as it is executed. Returns 0.

    Raises SANDBOX_MISSING before the file is opened, and PROGRAMS_UNREADABLE with the line's
    number.
    """
    limits = Limits.of_computing(args.seconds, args.memory << 20)
    counts: Counter[Disposition] = Counter()
    with Sandbox(limits, workers=args.workers) as sandbox:
        for execution in sandbox.run(_jobs(args.file)):
            counts[execution.disposition] += 1
            record: dict[str, Any] = {"disposition": execution.disposition}
            if execution.disposition is Disposition.VALUE:
                record["value"] = repr(execution.value)[:_SHOWN]
            if execution.error:
                record["error"] = execution.error
            print(json.dumps(record))
    if args.json:
        facts = {"n": counts.total()}
        facts |= {kind: counts[kind] for kind in Disposition}
        print(json.dumps(facts))
    else:
        shown = "  ".join(f"{kind} {count}" for kind, count in counts.items())
        print(f"n {counts.total()}  {shown}", file=sys.stderr)
    return 0


def _jobs(file: Path) -> Iterator[Job]:
    forms: tuple[type[_TestedLine | _ValuedLine], ...] = (_TestedLine, _ValuedLine)
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                job = None
                for form in forms:
                    with contextlib.suppress(msgspec.MsgspecError, RecursionError):
                        text = line.removeprefix(codecs.BOM_UTF8)
                        job = msgspec.json.decode(text, type=form).job()
                        break
                if job is None:
                    raise error(Code.PROGRAMS_UNREADABLE, f"line {number}")
                yield job
    except OSError:
        raise error(Code.PROGRAMS_UNREADABLE, str(file)) from None
