"""Import what a GPU host needs, and print the versions: a smoke test of its pins.

``python deploy/containers/imports.py [PACKAGE …]``. Ends with 1 and the name of the first package
that cannot be imported.
"""

import sys
from importlib import import_module
from importlib.metadata import version

PACKAGES = ("torch", "transformers", "vllm", "litellm", "lm_eval")


def main(packages: list[str]) -> int:
    """Import the packages in order. Returns the exit code."""
    for package in packages or PACKAGES:
        try:
            import_module(package)
        except Exception as failure:  # noqa: BLE001 - an import runs any code
            print(f"{package}: cannot be imported ({type(failure).__name__})", file=sys.stderr)
            return 1
        print(f"{package} {version(package)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
