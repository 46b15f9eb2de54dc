"""Checks of a new set before it is sealed. What they find names lines and numbers, never text."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.authoring.distributions import Comparison, compare
from evaluator.authoring.near import pairs, visible
from evaluator.errors import Code, EvaluatorError, error
from evaluator.items import Item, parse_items

ERROR_GRAM, WARNING_GRAM = 13, 8
LONGEST = 65_536
"""Characters of one text. Anything longer is no word problem."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_MALFORMED: Mapping[str, Callable[[str], object]] = {
    "a control character": _CONTROL.search,
    "a character that turns the direction of text": _BIDI.search,
    f"more than {LONGEST} characters": lambda text: len(text) > LONGEST,
}


@dataclass(frozen=True)
class Finding:
    """What is wrong: a code, the lines of the new set, and for an overlap the lines of the public one."""

    code: str
    lines: tuple[int, ...]
    public: tuple[int, ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines[:20])) + (" …" if len(self.lines) > 20 else "")
        return f"{self.code}: line {shown}" if self.lines else self.code


@dataclass(frozen=True)
class CheckReport:
    """Errors stop sealing; warnings are for people. ``comparisons`` are empty where nothing could be compared."""

    n: int
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    comparisons: tuple[Comparison, ...]


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file, cut where :func:`evaluator.items.load_items` cuts them. Raises ``set_unreadable``."""
    try:
        return path.read_bytes().split(b"\n")
    except OSError:
        raise error(Code.SET_UNREADABLE, str(path)) from None


def check(lines: Sequence[bytes], public: Sequence[Item]) -> CheckReport:
    """Check the JSON lines of a new set, against a public one where that has items. Line numbers count from 1."""
    items, errors = _parse(lines)
    numbers = sorted(items)
    errors += list(_malformed(items)) + list(_duplicates(items))
    questions = [items[number].question for number in numbers]
    known = [item.question for item in public]
    near = pairs(questions, known, ERROR_GRAM)
    close = [
        pair
        for pair in pairs(questions, known, WARNING_GRAM)
        if pair[0] not in {one for one, _ in near}
    ]
    errors += _overlap(f"shares {ERROR_GRAM} words in a row with a public item", near, numbers)
    warnings = _overlap(f"shares {WARNING_GRAM} words in a row with a public item", close, numbers)
    comparisons = compare([items[number] for number in numbers], public) if items and public else ()
    unlike = [one for one in comparisons if one.unlike]
    warnings += [
        Finding(f"{one.name} are unlike the public set's (p = {one.p:.4f})", ()) for one in unlike
    ]
    return CheckReport(len(items), tuple(errors), tuple(warnings), comparisons)


def _parse(lines: Sequence[bytes]) -> tuple[dict[int, Item], list[Finding]]:
    """Each line by itself, so that all that is wrong is told at once."""
    items: dict[int, Item] = {}
    bad: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            items[number] = parse_items([line])[0]
        except EvaluatorError as failure:
            kind = failure.detail.partition(": ")[2]
            bad.setdefault(
                f"{failure.code.value} ({kind})" if kind else failure.code.value, []
            ).append(number)
    found = [Finding(reason, tuple(numbers)) for reason, numbers in bad.items()]
    return items, found if items or found else [Finding(Code.SET_EMPTY.value, ())]


def _malformed(items: dict[int, Item]) -> Iterator[Finding]:
    for name, is_bad in _MALFORMED.items():
        bad = (
            number for number, item in items.items() if is_bad(item.question) or is_bad(item.answer)
        )
        if numbers := tuple(bad):
            yield Finding(name, numbers)


def _duplicates(items: dict[int, Item]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    twice = []
    for number, item in items.items():
        folded = " ".join(unicodedata.normalize("NFC", visible(item.question)).split()).casefold()
        if first.setdefault(folded, number) != number:
            twice.append(number)
    if twice:
        yield Finding("the question of an earlier line", tuple(twice))


def _overlap(code: str, found: Sequence[tuple[int, int]], numbers: Sequence[int]) -> list[Finding]:
    lines = tuple(numbers[place - 1] for place, _ in found)
    return [Finding(code, lines, tuple(other for _, other in found))] if found else []
