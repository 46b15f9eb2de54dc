"""``holdfast``, also started as ``python -m evaluator``: the engine at a terminal, and the commands
that talk to a site."""

import sys

from evaluator.cli import PROGRAM, main
from evaluator.jail import dump_no_core


def start(program: str = PROGRAM) -> None:
    """Run the command that the arguments name, and exit with its code."""
    dump_no_core()  # most commands hold keys, some hold items
    sys.exit(main(sys.argv[1:], program=program))


if __name__ == "__main__":
    start("python -m evaluator")
