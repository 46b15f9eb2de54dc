"""The fault matrix and the tests that name its faults, by a search for their identifiers.

    python -m tests.faults.matrix

A fault counts as tested where a test's name or the identifier of one of its cases has it.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
FAULTS: Mapping[str, int] = {
    "W": 21,
    "E": 6,
    "B": 10,
    "D": 12,
    "S": 5,
    "N": 6,
    "C": 3,
    "X": 4,
    "O": 5,
}
"""How many faults the matrix has by the first letter of their identifiers."""
MUTANTS = 14
INVARIANTS = 14
_CASE = re.compile(r"""["'](?P<id>[WEBDSNCXO]\d\d|M\d{1,2})-[a-z0-9-]+["']""")
_TEST = re.compile(r"def test_(?:fault_)?(?P<id>[webdsncxo]\d\d|m\d{1,2})_")


def tests_by_id() -> dict[str, set[str]]:
    """Return the files whose tests have each identifier."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        for match in (*_CASE.finditer(text), *_TEST.finditer(text)):
            found[match["id"].upper()].add(str(path.relative_to(TESTS.parent)))
    return found


def known_ids() -> list[str]:
    """Return the identifiers of all faults, in the order of the matrix."""
    return [
        f"{kind}{number:02}" for kind, count in FAULTS.items() for number in range(1, count + 1)
    ]


def main() -> None:
    """Print each fault with the files that test it, and how many are tested."""
    found = tests_by_id()
    for name in known_ids():
        print(f"{name}  {', '.join(sorted(found.get(name, ()))) or '-'}")
    tested = [name for name in known_ids() if found.get(name)]
    mutants = [number for number in range(1, MUTANTS + 1) if found.get(f"M{number}")]
    print(f"\nfaults tested by their identifier: {len(tested)} of {len(known_ids())}")
    print(f"broken builds that are caught: {len(mutants)} of {MUTANTS}")


if __name__ == "__main__":
    main()
