"""Items: one question with its answer, and the strict reading of a set from JSON lines.

A set is refused as a whole, with the number of the offending line and never its text: a set that is
half read would be a different set under the same name.

The field ``kind`` of a line says how the item is answered. All items of a set have one kind:

- ``number``, also where the field is absent: the answer ends in a number.
- ``expression``: the answer is, or ends in, a formula in LaTeX or plain text.
- ``choice``: ``choices`` has 2 to 26 texts; the answer is the letter of one of them, from A.
- ``program``: the answer is a Python literal, which a function has to return. ``entry`` names the
  function; without it, the last one of the program is called.
- ``tests``: the answer is a reference solution in Python. ``entry`` names its function, and
  ``tests`` are Python as well: they pass where they run to their end. ``prelude`` is what they need
  besides the program. No model is shown ``tests`` or ``prelude``: ``question`` has all that it
  may see.

Where an answer has one ``####``, the part behind it is what is graded, but for ``tests``.
"""

import ast
import hashlib
import json
import keyword
import re
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from evaluator.contract import ItemKind, canonical_json
from evaluator.errors import Code, EvaluatorError, error

KINDS: tuple[ItemKind, ...] = get_args(ItemKind)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Names of the choices of an item, in order."""

_GOLD = re.compile(r"[-\u2212]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,40})?")
_HALF = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair, which no file can hold as UTF-8."""
_MARKER = "####"
_BOXED = "\\boxed{"
_LONGEST_GOLD = 100
_LONGEST_EXPRESSION = 1000
_LONGEST_LITERAL = 10_000
_FIELDS: Mapping[str, Mapping[str, bool]] = {
    "number": {},
    "expression": {},
    "choice": {"choices": True},
    "program": {"entry": False},
    "tests": {"entry": True, "tests": True, "prelude": False},
}
"""Fields that each kind has besides question and answer; true for those that it needs."""
_ALL_FIELDS = frozenset().union(*_FIELDS.values())


@dataclass(frozen=True, slots=True, repr=False)
class Item:
    """One question.

    ``answer`` is the reference as written, ``gold`` the part of it that is graded: a number as a
    plain decimal string, a formula, a letter, a literal; empty for ``tests``.

    The text never shows in ``repr``, so that no log line or traceback can carry a sealed item.
    """

    question: str
    answer: str
    gold: str
    kind: ItemKind = "number"
    choices: tuple[str, ...] = ()
    entry: str = ""
    tests: str = ""
    prelude: str = ""

    def __repr__(self) -> str:
        return "Item(…)"

    def reference(self) -> str:
        """Return the reference solution of a ``tests`` item as a whole program.

        The answer is a program of its own, or the question (a signature and a docstring) begins
        it.
        """
        try:
            body = parsed(self.answer).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            body = []
        defined = {getattr(statement, "name", "") for statement in body}
        if self.entry in defined:
            return self.answer
        return self.question + self.answer


def parsed(source: str) -> ast.Module:
    """Return the syntax tree of a Python text, without warnings, which would quote it.

    Raises SyntaxError, ValueError, RecursionError, MemoryError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # published programs escape letters that need no escape
        return ast.parse(source)


def gold_of(
    answer: str,
    kind: ItemKind = "number",
    choices: int = len(LETTERS),
) -> str:
    """Return the part of an answer that is graded.

    It follows the only ``####``, or is the whole answer. An expression may also be the content of
    the last ``\\boxed{}``. In numbers, commas are dropped and a Unicode minus becomes ``-``.

    Raises ``set_gold_not_numeric`` for a number in any other form: several markers, words, a clock
    time, bad grouping, more than 100 characters. The error names some forms, a fraction for
    example. Raises ``set_gold_unreadable`` for other kinds: a letter that is none of the
    ``choices``, no literal, a text that is too long.
    """
    if kind == "tests":
        return ""
    parts = answer.split(_MARKER)
    written = parts[-1].strip()
    if kind == "number":
        too_many_markers = len(parts) > 2
        too_long = len(written) > _LONGEST_GOLD
        if too_many_markers or too_long or not _GOLD.fullmatch(written):
            raise error(Code.SET_GOLD_NOT_NUMERIC, _form(written))
        return written.replace(",", "").replace("\u2212", "-")
    if kind == "expression" and len(parts) == 1:
        written = _unboxed(written)
    if len(parts) > 2 or not _is_readable(written, kind, choices):
        raise error(Code.SET_GOLD_UNREADABLE, kind)
    return written


def _is_readable(written: str, kind: ItemKind, choices: int) -> bool:
    if kind == "expression":
        return 0 < len(written) <= _LONGEST_EXPRESSION
    if kind == "choice":
        return len(written) == 1 and written in LETTERS[:choices]
    if len(written) > _LONGEST_LITERAL:
        return False
    try:
        [statement] = parsed(written).body
        ast.literal_eval(statement.value if isinstance(statement, ast.Expr) else statement)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


_FORMS = (
    (
        re.compile(r"[0-9]\s?[/\u2044\u2215]\s?[0-9]|[¼-¾⅐-⅞]|\\[a-z]?frac"),
        "its gold answer is a fraction",
    ),
    (re.compile(r"[$€£¥₹]"), "its gold answer has a sign of a currency"),
    (re.compile(r"%"), "its gold answer has a percent sign"),
)


def _form(written: str) -> str:
    """Return the form of a refused number, without its text; empty where it has no name."""
    for pattern, form in _FORMS:
        if pattern.search(written[:_LONGEST_GOLD]):
            return form
    return ""


def _unboxed(written: str) -> str:
    """Return the content of the last ``\\boxed{}`` of an answer, or the answer without one."""
    _, box, rest = written.rpartition(_BOXED)
    if not box:
        return written
    depth = 1
    for place, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if not depth:
            return rest[:place].strip()
    return ""


def parse_items(lines: Iterable[bytes]) -> tuple[Item, ...]:
    """Return the items of a set given as JSON lines, in order; blank lines are skipped.

    Raises ``set_bad_json``, ``set_missing_field``, ``set_unknown_kind``, ``set_bad_field``,
    ``set_gold_not_numeric``, ``set_gold_unreadable``, ``set_duplicate_question`` (equal after
    Unicode and space folding) and ``set_mixed_kinds`` with the line's number, and ``set_empty``.
    """
    items: list[Item] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        item = _parse_line(line, number)
        if items and item.kind != items[0].kind:
            kinds = f"line {number}: {item.kind} after {items[0].kind}"
            raise error(Code.SET_MIXED_KINDS, kinds)
        normalized = unicodedata.normalize("NFC", asked(item))
        folded = " ".join(normalized.split())
        if first_line.setdefault(folded, number) != number:
            raise error(Code.SET_DUPLICATE_QUESTION, f"lines {first_line[folded]} and {number}")
        items.append(item)
    if not items:
        raise error(Code.SET_EMPTY)
    return tuple(items)


def asked(item: Item) -> str:
    """Return the question with all that tells it from other questions: choices, a function."""
    parts = (item.question, *item.choices, item.entry)
    return "\n".join(part for part in parts if part)


def load_items(path: Path) -> tuple[Item, ...]:
    """Return the items of the JSON-lines file at ``path``.

    Raises ``set_unreadable`` and as :func:`parse_items`.
    """
    try:
        with path.open("rb") as lines:
            return parse_items(lines)
    except OSError:
        raise error(Code.SET_UNREADABLE, str(path)) from None


def item_record(item: Item) -> dict[str, Any]:
    """Return the fields that a person wrote: they are committed to and sealed.

    A number has two, question and answer; other kinds have ``kind`` and their own as well, without
    those that are empty.
    """
    record: dict[str, Any] = {
        "question": item.question,
        "answer": item.answer,
    }
    if item.kind != "number":
        record["kind"] = item.kind
    for name in _FIELDS[item.kind]:
        value = getattr(item, name)
        if value:
            record[name] = list(value) if name == "choices" else value
    return record


def set_digest(items: Sequence[Item]) -> str:
    """Return SHA-256 in hexadecimal over the canonical JSON of the records, in set order."""
    records = [item_record(item) for item in items]
    return hashlib.sha256(canonical_json(records)).hexdigest()


def _parse_line(line: bytes, number: int) -> Item:
    place = f"line {number}"
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise error(Code.SET_BAD_JSON, place) from None
    if not isinstance(record, dict):
        raise error(Code.SET_BAD_JSON, place)
    kind = record.get("kind", "number")
    if kind not in KINDS:
        raise error(Code.SET_UNKNOWN_KIND, place)
    question = _text(record, "question", place)
    answer = _text(record, "answer", place)
    more = _more_fields(record, kind, place)
    try:
        gold = gold_of(answer, kind, len(more.get("choices", LETTERS)))
    except EvaluatorError as refused:
        form = f": {refused.detail}" if refused.detail else ""
        raise error(refused.code, f"{place}{form}") from None
    return Item(
        question=question,
        answer=answer,
        gold=gold,
        kind=kind,
        **more,
    )


def _text(record: Mapping[str, Any], name: str, place: str) -> str:
    value = record.get(name)
    if not isinstance(value, str) or not value.strip():
        raise error(Code.SET_MISSING_FIELD, place)
    if _HALF.search(value):
        raise error(Code.SET_BAD_JSON, place)
    return value


def _more_fields(
    record: Mapping[str, Any],
    kind: ItemKind,
    place: str,
) -> dict[str, Any]:
    """Return the fields of the kind. Those of another kind are refused where a kind is given."""
    fields = _FIELDS[kind]
    misplaced = sorted(_ALL_FIELDS.difference(fields).intersection(record))
    if misplaced and "kind" in record:
        raise error(Code.SET_BAD_FIELD, f"{place}: {misplaced[0]} in an item of kind {kind}")
    if kind == "choice":
        return {"choices": _choices(record.get("choices"), place)}
    names = [name for name, needed in fields.items() if needed or name in record]
    more = {name: _text(record, name, place) for name in names}
    entry = more.get("entry", "entry")
    if not entry.isidentifier() or keyword.iskeyword(entry):
        raise error(Code.SET_BAD_FIELD, f"{place}: entry is not the name of a function")
    return more


def _choices(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise error(Code.SET_MISSING_FIELD, place)
    texts = [text for text in value if isinstance(text, str) and text.strip()]
    distinct = {" ".join(text.split()) for text in texts}
    all_different = len(distinct) == len(value)
    if not all_different or not 2 <= len(value) <= len(LETTERS):
        limits = f"choices are 2 to {len(LETTERS)} different texts"
        raise error(Code.SET_BAD_FIELD, f"{place}: {limits}")
    if any(_HALF.search(text) for text in texts):
        raise error(Code.SET_BAD_JSON, place)
    return tuple(texts)
