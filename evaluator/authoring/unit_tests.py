"""Checks of items that are answered by a program: do the tests tell right from wrong?

The reference solution has to pass its tests. A stub has to fail them, and so have at least four
fifths of the reference's simple mutants. Everything is executed in the sandbox. Findings name lines
and counts, never a text.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evaluator.authoring.forms import read_form
from evaluator.authoring.mutants import mutants
from evaluator.errors import EvaluatorError
from evaluator.items import Item, parse_items, parsed
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, UnitTested

KILLED = 0.8
"""Share of the mutants that the tests have to fail."""
MUTANTS = 20
"""Mutants of one reference solution, at most."""

UNREADABLE = "not an item"
REFERENCE_FAILS = "the reference solution fails its tests"
STUB_PASSES = "a function that returns nothing passes the tests"
MUTANT_PASSES = "too many mutants of the reference solution get through its tests"
NO_MUTANTS = "the reference solution has nothing to mutate"


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding about the item of one line. ``killed`` of ``mutants`` failed the tests."""

    line: int
    problem: str
    disposition: str = ""
    killed: int = 0
    mutants: int = 0

    @property
    def prevents_sealing(self) -> bool:
        """True for what has to be mended."""
        return self.problem not in ("", NO_MUTANTS)

    def __str__(self) -> str:
        more = f" ({self.disposition})" if self.disposition else ""
        if self.mutants:
            more += f" ({self.killed} of {self.mutants} mutants fail)"
        return f"line {self.line}: {self.problem or 'ok'}{more}"


def check_tests(lines: Sequence[bytes], sandbox: Sandbox) -> Iterator[Finding]:
    """Yield a finding for each line that holds anything. Where all is well it has no ``problem``.

    A line is an item of kind ``tests``, or has HumanEval's form. Raises SANDBOX_FAILED,
    HOST_RESOURCES.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item = _read(line)
        if item is None:
            yield Finding(number, UNREADABLE)
        else:
            yield check_item(number, item, sandbox)


def _read(line: bytes) -> Item | None:
    """Return the item of a line, None where it is none of kind ``tests``."""
    with contextlib.suppress(EvaluatorError):
        [item] = parse_items([line])
        return item if item.kind == "tests" else None
    with contextlib.suppress(EvaluatorError):
        return read_form("humaneval", [line])[0]
    return None


def check_item(number: int, item: Item, sandbox: Sandbox) -> Finding:
    """Return the finding about an item of kind ``tests``. Raises SANDBOX_FAILED, HOST_RESOURCES."""
    reference = item.reference()
    try:
        changed = mutants(reference, MUTANTS)
    except (SyntaxError, ValueError, RecursionError):
        return Finding(number, UNREADABLE)
    # The stub's function returns nothing. A signature's prompt may define what the tests need.
    stub = f"def {item.entry}(*operands, **options): return None\n"
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        parsed(item.question)
        stub = f"{item.question}\n{stub}"
    sources = (reference, stub, *changed)
    outcomes = sandbox.run(
        UnitTested(source, item.tests, item.entry, item.prelude) for source in sources
    )
    first = next(outcomes).disposition
    stubbed = next(outcomes).disposition
    killed = sum(done.disposition is not Disposition.PASSED for done in outcomes)
    if first is not Disposition.PASSED:
        return Finding(number, REFERENCE_FAILS, first)
    if stubbed is Disposition.PASSED:
        return Finding(number, STUB_PASSES)
    if not changed:
        return Finding(number, NO_MUTANTS)
    problem = MUTANT_PASSES if killed < KILLED * len(changed) else ""
    return Finding(number, problem, killed=killed, mutants=len(changed))
