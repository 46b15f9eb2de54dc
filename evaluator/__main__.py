"""``python -m evaluator``: the engine at a terminal, without the site."""

import sys

from evaluator.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
