"""Run commands of the site one after the other in one process, because each start takes seconds.

    python -m demo.commands '[["register_set", "manifest.json"], ["register_pair", "demo"]]'

Ends with status 1 at the first that fails, and says why; those before it were run.
"""

import json
import sys

import django
from django.core.management import CommandError, call_command


def main(arguments: list[str]) -> int:
    """Run each command of a JSON list of lists of words."""
    django.setup()
    for name, *words in json.loads(arguments[0]):
        try:
            call_command(name, *words)
        except CommandError as failure:
            print(f"{name}: {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
