r"""``numeric-1``: does a completion answer with the gold number?

Where the answer is read
========================
The completion is first made readable (:mod:`evaluator.grading.text`). Then the **last** of these marks
that is followed by a number decides, and later loose numbers do not count:

====================  =====================================================================
``#### 18``           the number right after the marks; ``#### 1. Find …`` is a heading
``\boxed{18}``        the content of the box; a box with words only is an answer, a wrong one
``answer is 18``      the first number of that sentence, also ``was``, ``would be``, ``equals``
``Answer: 18``        the number right after the colon; also ``{"answer": 18}``
``A: 18``             the same, at the start of a line
====================  =====================================================================

In a marked sentence with ``=`` the number after the last ``=`` counts (``520 - 480 = 40``). Without a
marked number, the last line that holds a number is read: its last number in ``**bold**``, else its last
number; list numbers (``1. Find``) and ordinals (``5th``) are passed over. A text that was **cut** has no
such fallback, since its last number is where it stopped, not what it concluded.

What is a number
================
====================================================  =============================================
``18  18.  18.0  018  +18  1.8e1  1.8 \times 10^1``   18
``-18  −18  –18  -$18  $-18  - 18`` (alone)           -18
``$18  18 dollars  18%  18 cm^2  $18/day  (a) 18``    18: currency, percent and units are not read
``1,234  1 234  1'234  1{,}234  1\,234``              1234; spaces may be no-break or narrow ones
``1.234``                                             1.234: the point is always decimal
``3/2  1 1/2  1½  \frac{3}{2}``                       3/2
``18k  18 thousand  2 million``                       scaled
``18 dollars and 50 cents``                           18.5
``１８  𝟏𝟖``                                            18: digits whose compatibility form is ASCII
``17.999999999999996``                                18: 16 digits or more are a double's print-out
====================================================  =============================================

These hold digits and are **not** a number, nor is any part of them: ``12,34``, ``1,23,456``, ``1_000``,
``0x12``, ``1e999999``, more than 100 characters, ``3:30``, ``18²``, ``9**9``, ``5-18`` or another
expression without a result, ``17 or 18`` or another list, digits with something invisible between them,
``&#49;8``. As the answer they are wrong. Other scripts' digits, Roman numerals and number words are not
digits: with nothing else to read there is no answer.

Values are compared exactly, as fractions. Nothing of a completion is ever evaluated.
"""

import re
from collections import deque
from collections.abc import Iterable
from fractions import Fraction

from evaluator.contract import Outcome
from evaluator.grading.grade import Grade
from evaluator.grading.numbers import Number, last_token, numbers, read
from evaluator.grading.text import readable

_MARK = re.compile(
    r"""
    (?P<hash>\#{4,}) \s{0,3}
    | (?P<box>\\f?boxed[ ]?\{)
    | \b(?P<phrase>answer[s"'*_ ]{0,4}
        (?:[ ](?:to|for|of)[ ][^.!?\n0-9]{1,60}?)?
        (?:(?P<verb>[ ]?\b(?:is|was|are|equals|would[ ]be|should[ ]be|will[ ]be|comes[ ]to)\b) | [ ]?[:=])
        [:="'*_ ]{0,6})
    | (?m:^)[ >*]{0,4} (?P<line>A:)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n")
_DECORATION = re.compile(r"[\s$€£¥₹*_\"'`(\[{~≈=+-]*(?:\\[(\[]\s*)?(?:[a-z]\s?=)?[\s$]*", re.IGNORECASE)
_HEADING = re.compile(r"[0-9]{1,2}[.)]\s+[A-Za-z]")
_LIST_NUMBER = re.compile(r"^[ >#*]{0,6}[0-9]{1,3}[.)](?=[ ]\S|[ ]$)")
_BULLET = re.compile(r"^[ >#]{0,6}[-+*] (?=\S)")
_BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_LISTED_AFTER = re.compile(r"(?: ?(?:[,;]|to\b|and\b)|[^0-9.,;\n]{0,12}?\bor\b|, or\b) ?[$]?-?[0-9]")
_LISTED_BEFORE = re.compile(r"[0-9](?:, ?[$]?[0-9.]{1,20}){1,40}(?:,? (?:or|and))?,? ?[$]?$|[0-9] or [$]?$")
_CENTS = re.compile(r" dollars? and ([0-9]{1,2}) cents?\b")
_LONGEST_CLAIM = 300
_MOST_MARKS = 64


def grade(response: str, gold: Fraction, *, cut: bool) -> Grade:
    """The outcome of one completion. ``cut`` says that it was ended by the token limit."""
    text = readable(response)
    marks = deque(_MARK.finditer(text), maxlen=_MOST_MARKS)
    found = _marked(marks, text)
    if found is None and not cut:
        # After "The answer is eighteen." a number that stood earlier is not the answer.
        withheld = max((mark.end() for mark in marks if not mark["hash"]), default=0)
        found = _last_number(text[withheld:])
    if found is None:
        return Grade(Outcome.TRUNCATED if cut else Outcome.NO_ANSWER, "")
    return Grade(Outcome.RIGHT if found.equals(gold) else Outcome.WRONG, _shown(found))


def _marked(marks: Iterable[re.Match[str]], text: str) -> Number | None:
    """The number at the last mark that has one. A mark's sentence ends at the next mark."""
    end = len(text)
    for mark in reversed(tuple(marks)):
        found = _at(mark, text, end)
        if found is not None:
            return found
        end = mark.start()
    return None


def _at(mark: re.Match[str], text: str, end: int) -> Number | None:
    if mark["box"]:
        return _boxed(text[mark.end() : mark.end() + _LONGEST_CLAIM])
    start = _DECORATION.match(text, mark.end(), min(end, mark.end() + 40))
    begin = start.end() if start else mark.end()
    stop = _SENTENCE_END.search(text, begin, min(end, mark.end() + _LONGEST_CLAIM))
    claim = text[mark.end() : stop.start() if stop else min(end, mark.end() + _LONGEST_CLAIM)].strip()
    if mark["hash"] and _HEADING.match(text, begin):
        return None
    if not mark["verb"] and not text[begin : begin + 2].lstrip(".")[:1].isdigit():
        return None
    return _claimed(claim)


def _boxed(text: str) -> Number | None:
    depth = 1
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            content = text[:place].strip()
            return _claimed(content) or (Number(0, place, content, None) if content else None)
    return None


def _claimed(claim: str) -> Number | None:
    """The number that a short marked text states, or None if it holds none."""
    claim = claim.replace("**", "")
    tail = claim.rpartition("=")[2]
    for part in (tail, claim) if tail != claim else (claim,):
        first = next(numbers(part), None)
        if first is None:
            continue
        cents = _CENTS.match(part, first.end)
        if cents and first.value is not None:
            return Number(0, 0, first.text, first.value + Fraction(int(cents[1]), 100))
        if part is tail and first.value is None and tail != claim:
            continue
        return _unless_listed(first, part)
    return None


def _unless_listed(first: Number, part: str) -> Number:
    listed = _LISTED_AFTER.match(part, first.end)
    return Number(first.start, first.end, first.text, None) if listed else first


def _last_number(text: str) -> Number | None:
    lines = [line for line in text.strip().split("\n") if line]
    for line in reversed(lines):
        # A lone "- 1/2" is negative; among other lines the hyphen is a bullet.
        bare = _LIST_NUMBER.sub(" ", line if len(lines) == 1 else _BULLET.sub("", line))
        found = _bold(bare) or _loose(bare)
        if found is not None:
            return found
    return None


def _bold(line: str) -> Number | None:
    for span in reversed(_BOLD.findall(line)):
        number = next(numbers(span), None)
        if number is not None:
            return number
    return None


def _loose(line: str) -> Number | None:
    line = line.replace("**", "")
    token = last_token(line)
    if token is None:
        return None
    found = read(token, line)
    listed = _LISTED_BEFORE.search(line[max(0, token.start() - 200) : token.start()])
    return Number(found.start, found.end, found.text, None) if listed else found


def _shown(found: Number) -> str:
    """The extracted answer: a plain integer, decimal or fraction, else the first 64 characters as written."""
    value = found.value
    if value is None:
        return found.text[:64]
    if found.computed or value.denominator == 1:
        return str(value) if value.denominator == 1 else found.text
    places = next((n for n in range(1, 61) if 10**n % value.denominator == 0), None)
    if places is None:
        return str(value)
    scaled = abs(value) * 10**places
    digits = str(scaled.numerator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
