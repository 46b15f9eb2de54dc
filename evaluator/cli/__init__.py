"""The engine's commands, from writing a twin to releasing it.

A module of this package offers ``add_commands(subparsers)``; each of its commands sets ``handler``, a
function from the parsed arguments to an exit code, and may take ``--json``. A handler raises
``EvaluatorError``; this module alone turns that into exit code 2, the sentence on standard error and,
with ``--json``, one object as the last line of standard output.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from evaluator.cli.failures import failure_record
from evaluator.errors import EvaluatorError

REFUSED = 2
"""The exit code of everything that has an error code; usage errors of argparse have it too."""
INTERRUPTED = 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    # Imported here so that the package itself stays light for the modules it contains.
    from evaluator.cli import (  # noqa: PLC0415
        authoring,
        grade,
        harness,
        keys,
        loglik,
        notices,
        releasing,
        rescore,
        run,
        sealing,
    )

    parser = argparse.ArgumentParser(prog="python -m evaluator", description="Evaluate, grade and seal sets of items.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (run, grade, rescore, loglik, harness, authoring, keys, sealing, notices, releasing):
        module.add_commands(commands)
    return parser


def main(argv: Sequence[str]) -> int:
    """Run one command. Returns its exit code: 0, 2 for an enumerated error, 130 for Ctrl-C."""
    args = build_parser().parse_args(argv)
    try:
        return int(args.handler(args) or 0)
    except EvaluatorError as failure:
        print(f"error: {failure}", file=sys.stderr)
        if getattr(args, "json", False):
            print(json.dumps(failure_record(failure)))
        return REFUSED
    except KeyboardInterrupt:
        print("interrupted; what was graded is kept", file=sys.stderr)
        return INTERRUPTED
