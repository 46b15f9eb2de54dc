"""``check-tests``: check the unit tests of a set of programs before it is sealed."""

import argparse
import json
import sys
from pathlib import Path

from evaluator.authoring.check import read_lines
from evaluator.authoring.unit_tests import check_tests
from evaluator.cli.execute import computing_seconds
from evaluator.cli.failures import report
from evaluator.cli.options import Commands
from evaluator.errors import Code, error
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.limits import Limits


def add_commands(commands: Commands) -> None:
    """Add ``check-tests``."""
    command = commands.add_parser("check-tests")
    command.add_argument(
        "items",
        type=Path,
        metavar="ITEMS.jsonl",
        help="JSON lines of kind tests, or as HumanEval's: with prompt, entry_point,"
        " canonical_solution and test",
    )
    command.add_argument(
        "--seconds",
        type=computing_seconds,
        default=5.0,
        help="of computing for each program; default 5",
    )
    command.add_argument("--workers", type=int, default=1, help="programs at once; default 1")
    command.add_argument("--json", action="store_true", help="print the counts as one JSON object")
    command.set_defaults(handler=check_tests_command)


def check_tests_command(args: argparse.Namespace) -> int:
    """Print each line that prevents sealing, as it is found. Returns 2 where there is one.

    Raises SET_UNREADABLE, SET_EMPTY, and SANDBOX_MISSING where no program can be executed.
    """
    limits = Limits.of_computing(args.seconds)
    lines = read_lines(args.items)
    with Sandbox(limits, workers=args.workers) as sandbox:
        findings = []
        for finding in check_tests(lines, sandbox):
            findings.append(finding)
            if finding.problem:
                print(finding, file=sys.stderr)
    if not findings:
        raise error(Code.SET_EMPTY, str(args.items))
    refused = [finding.line for finding in findings if finding.prevents_sealing]
    facts = {
        "n": len(findings),
        "refused": refused,
        "killed": sum(finding.killed for finding in findings),
        "mutants": sum(finding.mutants for finding in findings),
    }
    if refused:
        shown = ", ".join(map(str, refused[:20]))
        return report(args, error(Code.CHECK_FAILED, f"lines {shown}"), facts)
    print(json.dumps(facts) if args.json else f"n {facts['n']}  all tests tell right from wrong")
    return 0
