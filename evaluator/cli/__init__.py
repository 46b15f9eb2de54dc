"""Commands of the engine, from writing a twin to releasing it.

A module of this package offers ``add_commands(subparsers)``. Each of its commands sets ``handler``,
a function from the parsed arguments to an exit code, and may take ``--json``. A handler raises
``EvaluatorError``; this module turns that into exit code 2, the sentence on standard error and,
with ``--json``, one object as the last line of standard output.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from evaluator.cli.failures import report
from evaluator.errors import EvaluatorError

INTERRUPTED = 130


_MODULES = (
    "run",
    "grade",
    "execute",
    "rescore",
    "loglik",
    "harness",
    "hub",
    "authoring",
    "overlap",
    "keys",
    "sealing",
    "notices",
    "releasing",
    "doctor",
    "settings",
)
ALONE = ("run", "grade")
"""Commands that are started often; only their own module is loaded for them."""


def build_parser(command: str = "") -> argparse.ArgumentParser:
    """Return the parser of every command, or of ``command`` if that is one of ``ALONE``."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluator", description="Evaluate, grade and seal sets of items."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in (command,) if command in ALONE else _MODULES:
        # Imported here so that importing one module of the package loads no other.
        import_module(f"evaluator.cli.{name}").add_commands(commands)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command. Returns its exit code: 0, 2 for an enumerated error, 130 for Ctrl-C."""
    args = build_parser(argv[0] if argv else "").parse_args(argv)
    try:
        return int(args.handler(args) or 0)
    except EvaluatorError as failure:
        return report(args, failure)
    except KeyboardInterrupt:
        print("interrupted; what was graded is stored", file=sys.stderr)
        return INTERRUPTED
