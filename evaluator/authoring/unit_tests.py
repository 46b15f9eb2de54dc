"""Checks of items that are answered by a program: do the tests tell right from wrong?

The reference solution has to pass its tests. A stub has to fail them, and so have at least four
fifths of the reference's simple mutants. Everything is executed in the sandbox. Findings name lines
and counts, never a text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from evaluator.authoring.mutants import mutants
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


class TestedItem(msgspec.Struct, frozen=True):
    """Item in HumanEval's form: the tests define ``check(candidate)``."""

    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


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

    Raises SANDBOX_FAILED, HOST_RESOURCES.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            item = msgspec.json.decode(line, type=TestedItem)
            changed = mutants(item.prompt + item.canonical_solution, MUTANTS)
        except (msgspec.MsgspecError, SyntaxError, ValueError, RecursionError):
            yield Finding(number, UNREADABLE)
            continue
        yield _finding(number, item, changed, sandbox)


def _finding(number: int, item: TestedItem, changed: Sequence[str], sandbox: Sandbox) -> Finding:
    stub = f"{item.prompt}\ndef {item.entry_point}(*operands, **options): return None\n"
    reference = item.prompt + item.canonical_solution
    outcomes = sandbox.run(_job(item, source) for source in (reference, stub, *changed))
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


def _job(item: TestedItem, source: str) -> UnitTested:
    tests = f"{item.test}\ncheck({item.entry_point})\n"
    return UnitTested(source, tests, item.entry_point, item.prompt)
