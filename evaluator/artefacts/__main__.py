"""Inspect a checkpoint: ``python -m evaluator.artefacts FOLDER [--loading] [--verifier]``.

Prints one JSON object, or a verdict on standard error. :mod:`evaluator.backends.inspection` starts
it as a process of its own, so that a hostile file takes time and memory of a child only, not of the
process that holds keys.
"""

import argparse
import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from evaluator.artefacts.checkpoint import inspect_checkpoint
from evaluator.artefacts.loading import read_loading
from evaluator.artefacts.verdicts import line_of
from evaluator.contract import Weights
from evaluator.errors import Code, EvaluatorError, error


def main() -> int:
    """Inspect a checkpoint. Return 0, or 2 with a verdict."""
    parser = argparse.ArgumentParser(prog="evaluator.artefacts")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--loading", action="store_true", help="facts for an engine only; hashes nothing"
    )
    parser.add_argument("--verifier", action="store_true", help="it scores another's candidates")
    parser.add_argument("--memory", type=int, required=True, help="bytes of address space")
    parser.add_argument("--seconds", type=int, required=True, help="of computing")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (arguments.memory, arguments.memory))
    # the soft limit ends it by a signal of its own, which the parent recognises
    resource.setrlimit(resource.RLIMIT_CPU, (arguments.seconds, arguments.seconds + 5))
    try:
        read = read_loading if arguments.loading else inspect_checkpoint
        facts = read(arguments.folder, verifier=arguments.verifier)
        print(json.dumps(asdict(facts), default=Weights.to_dict))
    except EvaluatorError as refused:
        print(line_of(refused), file=sys.stderr)
        return 2
    except (MemoryError, RecursionError):
        print(line_of(error(Code.CHECKPOINT_TOO_COSTLY)), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
