"""Items: one question with its answer, and the strict reading of a set from JSON lines.

A set is refused as a whole, with the number of the offending line and never its text: a set that is
half read would be a different set under the same name.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError, error

_GOLD = re.compile(r"[-\u2212]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,40})?")
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which no file can hold as UTF-8."""
_MARKER = "####"
_LONGEST_GOLD = 100


@dataclass(frozen=True, slots=True, repr=False)
class Item:
    """One question.

    ``answer`` is the reference as written, ``gold`` its number as a plain decimal string.

    The text never shows in ``repr``, so that no log line or traceback can carry a sealed item.
    """

    question: str
    answer: str
    gold: str

    def __repr__(self) -> str:
        return "Item(…)"


def gold_of(answer: str) -> str:
    """Return the number that an answer ends in.

    It follows the only ``####``, or is the whole answer. Commas are dropped and a Unicode minus
    becomes ``-``. Raises ``set_gold_not_numeric`` for anything else: several markers, words, a
    clock time, bad grouping, more than 100 characters. The error names some kinds, a fraction for
    example.
    """
    parts = answer.split(_MARKER)
    written = parts[-1].strip()
    if len(parts) > 2 or len(written) > _LONGEST_GOLD or not _GOLD.fullmatch(written):
        raise error(Code.SET_GOLD_NOT_NUMERIC, _kind(written))
    return written.replace(",", "").replace("\u2212", "-")


_KINDS = (
    (
        re.compile(r"[0-9]\s?[/\u2044\u2215]\s?[0-9]|[¼-¾⅐-⅞]|\\[a-z]?frac"),
        "its gold answer is a fraction",
    ),
    (re.compile(r"[$€£¥₹]"), "its gold answer has a sign of a currency"),
    (re.compile(r"%"), "its gold answer has a percent sign"),
)


def _kind(written: str) -> str:
    """Return the kind of a refused gold answer, without its text; empty where it has no name."""
    for pattern, kind in _KINDS:
        if pattern.search(written[:_LONGEST_GOLD]):
            return kind
    return ""


def parse_items(lines: Iterable[bytes]) -> tuple[Item, ...]:
    """Return the items of a set given as JSON lines, in order; blank lines are skipped.

    Raises ``set_bad_json``, ``set_missing_field``, ``set_gold_not_numeric``,
    ``set_duplicate_question`` (equal after Unicode and space folding) with the line's number, and
    ``set_empty``.
    """
    items: list[Item] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item = _parse_line(line, number)
        folded = " ".join(unicodedata.normalize("NFC", item.question).split())
        if first_line.setdefault(folded, number) != number:
            raise error(Code.SET_DUPLICATE_QUESTION, f"lines {first_line[folded]} and {number}")
        items.append(item)
    if not items:
        raise error(Code.SET_EMPTY)
    return tuple(items)


def load_items(path: Path) -> tuple[Item, ...]:
    """Return the items of the JSON-lines file at ``path``.

    Raises ``set_unreadable`` and as :func:`parse_items`.
    """
    try:
        with path.open("rb") as lines:
            return parse_items(lines)
    except OSError:
        raise error(Code.SET_UNREADABLE, str(path)) from None


def item_record(item: Item) -> dict[str, str]:
    """Return the two fields that a person wrote: they are committed to and sealed."""
    return {"question": item.question, "answer": item.answer}


def set_digest(items: Sequence[Item]) -> str:
    """Return SHA-256 in hexadecimal over the canonical JSON of the records, in set order."""
    return hashlib.sha256(canonical_json([item_record(item) for item in items])).hexdigest()


def _parse_line(line: bytes, number: int) -> Item:
    question, answer = _fields(line, f"line {number}")
    try:
        return Item(question=question, answer=answer, gold=gold_of(answer))
    except EvaluatorError as refused:
        kind = f": {refused.detail}" if refused.detail else ""
        raise error(Code.SET_GOLD_NOT_NUMERIC, f"line {number}{kind}") from None


def _fields(line: bytes, place: str) -> tuple[str, str]:
    """Return question and answer. ``place`` names the line in errors."""
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise error(Code.SET_BAD_JSON, place) from None
    if not isinstance(record, dict):
        raise error(Code.SET_BAD_JSON, place)
    values = [record.get(name) for name in ("question", "answer")]
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if len(texts) != 2:
        raise error(Code.SET_MISSING_FIELD, place)
    if any(_HALF.search(text) for text in texts):
        raise error(Code.SET_BAD_JSON, place)
    return texts[0], texts[1]
