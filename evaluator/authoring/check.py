"""Checks of a new set before it is sealed. Problems name lines and numbers, never text."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.authoring.distributions import Comparison, compare, p_values
from evaluator.authoring.likeness import Alike, LikenessIndex, tokens
from evaluator.authoring.near import pairs, visible
from evaluator.authoring.program_likeness import AlikeProgram, ProgramIndex, programs
from evaluator.authoring.unit_tests import (
    MUTANT_PASSES,
    REFERENCE_FAILS,
    STUB_PASSES,
    UNREADABLE,
    check_item,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import expression
from evaluator.items import Item, asked, parse_items
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.limits import Limits

ERROR_GRAM = 13
WARNING_GRAM = 8
LONGEST = 65_536
"""Maximum characters of one text; word problems are shorter."""
_TEST_SECONDS = 5.0
"""Seconds of computing for one reference solution with its tests."""
_TEST_CODES = {
    UNREADABLE: f"{Code.SET_REFERENCE_FAILS.value} ({UNREADABLE})",
    REFERENCE_FAILS: Code.SET_REFERENCE_FAILS.value,
    STUB_PASSES: f"{Code.SET_TESTS_WEAK.value} ({STUB_PASSES})",
    MUTANT_PASSES: f"{Code.SET_TESTS_WEAK.value} ({MUTANT_PASSES})",
}
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MALFORMED: Mapping[str, Callable[[str], object]] = {
    "a control character": _CONTROL.search,
    "a character that turns the direction of text": _BIDI.search,
    f"more than {LONGEST} characters": lambda text: len(text) > LONGEST,
}


@dataclass(frozen=True)
class Problem:
    """Problem: a code, the lines of the new set, and for an overlap the lines of the public one."""

    code: str
    lines: tuple[int, ...]
    public: tuple[int, ...] = ()

    def __str__(self) -> str:
        if not self.lines:
            return self.code
        listed = [str(line) for line in self.lines[:20]]
        lines = ", ".join(listed)
        more = " …" if len(self.lines) > 20 else ""
        return f"{self.code}: line {lines}{more}"


@dataclass(frozen=True)
class CheckReport:
    """Result of a check. Errors prevent sealing; ``comparisons`` need items on both sides."""

    n: int
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    comparisons: tuple[Comparison, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data."""
        return {
            "n": self.n,
            "errors": [str(problem) for problem in self.errors],
            "warnings": [str(problem) for problem in self.warnings],
            "p": p_values(self.comparisons),
        }


def read_lines(path: Path) -> list[bytes]:
    """Return the lines of a file, split as by ``items.load_items``. Raises ``set_unreadable``."""
    try:
        return path.read_bytes().split(b"\n")
    except OSError:
        raise error(Code.SET_UNREADABLE, str(path)) from None


def check(lines: Sequence[bytes], public: Sequence[Item]) -> CheckReport:
    """Check the JSON lines of a new set, against a public one if that has items.

    Line numbers count from 1. Reference solutions and their tests are executed in the sandbox, and
    expressions are read in a jail. Raises SANDBOX_MISSING and JAIL_MISSING where this machine has
    none, SANDBOX_FAILED, HOST_RESOURCES.
    """
    items, errors = _parse(lines)
    errors += _mixed(items, public)
    errors += _malformed(items)
    errors += _duplicates(items)
    errors += _unreadable(items)
    failing, unchecked = _tested(items)
    errors += failing
    numbers = sorted(items)
    questions = [_read_by_models(items[number]) for number in numbers]
    public_questions = [_read_by_models(item) for item in public]
    long_overlaps = pairs(questions, public_questions, ERROR_GRAM)
    errors += _overlap_problems(ERROR_GRAM, long_overlaps, numbers)
    reported = {question for question, _ in long_overlaps}
    short_overlaps = pairs(questions, public_questions, WARNING_GRAM)
    unreported = [pair for pair in short_overlaps if pair[0] not in reported]
    warnings = _overlap_problems(WARNING_GRAM, unreported, numbers)
    reported |= {question for question, _ in unreported}
    reported_lines = {numbers[question - 1] for question in reported}
    warnings += _alike(items, public, reported_lines)
    warnings += _alike_programs(items, public)
    warnings += unchecked
    comparisons: tuple[Comparison, ...] = ()
    if items and public:
        comparisons = compare(list(items.values()), public)
    for comparison in comparisons:
        if comparison.unlike:
            unlike = f"{comparison.name} are unlike the public set's (p = {comparison.p:.4f})"
            warnings.append(Problem(unlike, ()))
    return CheckReport(
        n=len(items),
        errors=tuple(errors),
        warnings=tuple(warnings),
        comparisons=comparisons,
    )


def _parse(
    lines: Sequence[bytes],
) -> tuple[dict[int, Item], list[Problem]]:
    """Return the items by line number, and the problems of all other lines."""
    items: dict[int, Item] = {}
    invalid: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            items[number] = parse_items([line])[0]
        except EvaluatorError as failure:
            _, _, kind = failure.detail.partition(": ")
            reason = failure.code.value
            if kind:
                reason = f"{reason} ({kind})"
            invalid.setdefault(reason, []).append(number)
    if not items and not invalid:
        return items, [Problem(Code.SET_EMPTY.value, ())]
    return items, _by_reason(invalid)


def _by_reason(lines: Mapping[str, Sequence[int]]) -> list[Problem]:
    problems: list[Problem] = []
    for reason, numbers in lines.items():
        problems.append(Problem(reason, tuple(numbers)))
    return problems


def _mixed(items: Mapping[int, Item], public: Sequence[Item]) -> list[Problem]:
    """Report items of another kind than the first one's, and a public set of another kind."""
    if not items:
        return []
    code = Code.SET_MIXED_KINDS.value
    first = next(iter(items.values()))
    others = [number for number, item in items.items() if item.kind != first.kind]
    problems: list[Problem] = []
    if others:
        problem = Problem(code, tuple(others))
        problems.append(problem)
    if public and public[0].kind != first.kind:
        problem = Problem(f"{code} (the public set has another)", ())
        problems.append(problem)
    return problems


def _read_by_models(item: Item) -> str:
    return "\n".join((item.question, *item.choices))


def _unreadable(items: Mapping[int, Item]) -> list[Problem]:
    """Report the expressions that their grader does not read, or not as equal to themselves."""
    lines: list[int] = []
    for number, item in items.items():
        if item.kind == "expression" and not expression.is_readable(item.gold):
            lines.append(number)
    if not lines:
        return []
    reason = f"{Code.SET_GOLD_UNREADABLE.value} (expression)"
    return [Problem(reason, tuple(lines))]


def _tested(
    items: Mapping[int, Item],
) -> tuple[list[Problem], list[Problem]]:
    """Execute the tests of each item on its reference solution, a stub and mutants.

    Returns errors and warnings.
    """
    tested = {number: item for number, item in items.items() if item.kind == "tests"}
    if not tested:
        return [], []
    errors: dict[str, list[int]] = {}
    warnings: dict[str, list[int]] = {}
    limits = Limits.of_computing(_TEST_SECONDS)
    with Sandbox(limits) as sandbox:
        for number, item in tested.items():
            finding = check_item(number, item, sandbox)
            if finding.problem:
                reason = _TEST_CODES.get(finding.problem, finding.problem)
                problems = errors if finding.prevents_sealing else warnings
                problems.setdefault(reason, []).append(number)
    return _by_reason(errors), _by_reason(warnings)


def _malformed(items: Mapping[int, Item]) -> list[Problem]:
    problems = []
    for name, matches in _MALFORMED.items():
        lines = []
        for number, item in items.items():
            texts = (
                item.question,
                item.answer,
                *item.choices,
                item.tests,
                item.prelude,
            )
            if any(map(matches, texts)):
                lines.append(number)
        if lines:
            problems.append(Problem(name, tuple(lines)))
    return problems


def _duplicates(items: Mapping[int, Item]) -> list[Problem]:
    first: dict[str, int] = {}
    repeated = []
    for number, item in items.items():
        text = visible(asked(item))
        normalised = unicodedata.normalize("NFC", text)
        folded = " ".join(normalised.split()).casefold()
        if first.setdefault(folded, number) != number:
            repeated.append(number)
    if not repeated:
        return []
    return [Problem("the question of an earlier line", tuple(repeated))]


def _overlap_problems(
    gram: int,
    overlaps: Sequence[tuple[int, int]],
    numbers: Sequence[int],
) -> list[Problem]:
    if not overlaps:
        return []
    lines: list[int] = []
    public: list[int] = []
    for question, other in overlaps:
        lines.append(numbers[question - 1])
        public.append(other)
    shared = f"shares {gram} words in a row with a public item"
    return [Problem(shared, tuple(lines), tuple(public))]


def _alike_programs(
    items: Mapping[int, Item],
    public: Sequence[Item],
) -> list[Problem]:
    """Report the items whose reference solution is like a public one, by tree and words."""
    sources: list[str] = []
    for item in public:
        source = item.reference() if item.kind == "tests" else ""
        sources.append(source)
    index = ProgramIndex(sources)
    if not len(index):
        return []

    def likeness(alike: AlikeProgram) -> tuple[bool, float, int]:
        return alike.same, alike.score, -alike.item

    lines: list[int] = []
    others: list[int] = []
    for number, item in items.items():
        if item.kind != "tests":
            continue
        matches: list[AlikeProgram] = []
        for function in programs(item.reference()):
            matches += index.find(function)
        if matches:
            best = max(matches, key=likeness)
            lines.append(number)
            others.append(best.item + 1)
    if not lines:
        return []
    problem = Problem(
        "has a solution like a public item's",
        tuple(lines),
        tuple(others),
    )
    return [problem]


def _alike(
    items: Mapping[int, Item],
    public: Sequence[Item],
    reported: set[int],
) -> list[Problem]:
    """Report the items that are like a public one by numbers and words, and not yet reported."""
    index = LikenessIndex([item.question for item in public])

    def likeness(alike: Alike) -> tuple[float, int]:
        return alike.words, -alike.item

    lines: list[int] = []
    others: list[int] = []
    for number, item in items.items():
        if number in reported:
            continue
        matches = index.find(tokens(item.question))
        if matches:
            best = max(matches, key=likeness)
            lines.append(number)
            others.append(best.item + 1)
    if not lines:
        return []
    problem = Problem(
        "has the numbers and words of a public item",
        tuple(lines),
        tuple(others),
    )
    return [problem]
