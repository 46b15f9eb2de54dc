"""``python -m evaluator``: the engine at a terminal, without the site."""

import sys

from evaluator.cli import main
from evaluator.jail import dump_no_core

if __name__ == "__main__":
    dump_no_core()  # most commands hold keys, some hold items
    sys.exit(main(sys.argv[1:]))
