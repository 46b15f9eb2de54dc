"""Reading numbers as people write them: the second step of ``numeric-1``.

A token is taken whole and then either has a value or has none: ``12,34`` or ``1_000`` is never read as
the 12 or the 1 that it begins with. Nothing is evaluated; an expression without a result has no value.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from evaluator.grading.text import GLUE

_TOKEN = re.compile(
    rf"""
    (?<![A-Za-z_0-9^{GLUE}]) (?<![\^_]\{{) (?<!\^-)
    (?P<broken>{GLUE}*)
    (?: (?P<mixed>[0-9]{{1,9}}[ ][0-9]{{1,9}}/[0-9]{{1,9}}(?![0-9]))
      | (?P<spaced>[0-9]{{1,3}}(?:[ ][0-9]{{3}}(?![0-9]))+(?:\.[0-9]+)?)(?![0-9/])
      | (?P<plain>\.?[0-9]+(?:[.,':_{GLUE}]+[0-9]+)*)(?P<over>[ ]?/[ ]?[0-9]+)?
    )
    (?P<power>[eE][-+]?[0-9]+(?![A-Za-z_0-9])|[ ]?[×x*][ ]?10[ ]?\^[ ]?\{{?[ ]?[-+]?[0-9]+[ ]?\}}?)?
    (?P<suffix>[A-Za-z_][A-Za-z_0-9]*)?
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"[0-9]*\.?[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]{1,3}(?:'[0-9]{3})+(?:\.[0-9]+)?")
_SIGN = re.compile(r"([-+])( ?)(?:US)?[$€£¥₹]? ?$")
_CURRENCY_BEFORE = re.compile(r"(?:US)?[$€£¥₹(]? ?$")
_GOES_ON = re.compile(r"[\s)$}]{0,3}(?:[-+*/×÷^]|[x×](?=[\s$(]))[\s$({]{0,3}-?\.?[0-9]")
_SCALE = re.compile(r" ?(thousand|million|billion)\b", re.IGNORECASE)
_SCALES = {"k": 10**3, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_UNIT_WITH_DIGIT = re.compile(r"(?:mm|cm|dm|m|km|in|ft|yd|mi)[23]")
_ORDINAL = re.compile(r"st|nd|rd|th")
_LONGEST = 100
_LARGEST_POWER = 60
_DOUBLE_DIGITS = 16
_DOUBLE_ERROR = Fraction(1, 10**12)


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text: where it stands, how it is written, and its exact value or None.

    ``computed`` marks a decimal of 16 or more digits, which only a binary double prints.
    """

    start: int
    end: int
    text: str
    value: Fraction | None
    computed: bool = False

    def equals(self, gold: Fraction) -> bool:
        """Exact equality; a double's print-out may be off by a relative 1e-12."""
        if self.value is None:
            return False
        return self.value == gold or (self.computed and abs(self.value - gold) <= abs(gold) * _DOUBLE_ERROR)


def numbers(text: str) -> Iterator[Number]:
    """The numbers of a text in order. Names (``x1``), exponents (``cm^2``) and subscripts are none."""
    for match in _TOKEN.finditer(text):
        yield read(match, text)


def last_token(text: str) -> re.Match[str] | None:
    """The last number of a text that is not an ordinal such as ``5th``; one pass, little memory."""
    last = None
    for match in _TOKEN.finditer(text):
        if not _ORDINAL.fullmatch(match["suffix"] or ""):
            last = match
    return last


def read(match: re.Match[str], text: str) -> Number:
    """The number that a token found in ``text`` stands for."""
    magnitude = _magnitude(match)
    end = match.end()
    scale = _SCALE.match(text, end)
    if scale and magnitude is not None:
        magnitude *= _SCALES[scale[1].lower()]
        end = scale.end()
    sign, in_expression = _before(text, match.start())
    if in_expression or _GOES_ON.match(text, end):
        magnitude = None
    written = ("-" if sign < 0 else "") + match.group()
    plain = match["plain"] or ""
    computed = "." in plain and len(re.sub("[.,']", "", plain).lstrip("0")) >= _DOUBLE_DIGITS
    return Number(match.start(), end, written, None if magnitude is None else sign * magnitude, computed)


def _magnitude(match: re.Match[str]) -> Fraction | None:
    if match["broken"] or match.end() - match.start() > _LONGEST:
        return None
    value = _written_value(match)
    suffix = match["suffix"] or ""
    if value is None or (re.search("[0-9_]", suffix) and not _UNIT_WITH_DIGIT.fullmatch(suffix)):
        return None
    if match["power"]:
        exponent = int(re.findall(r"[-+]?[0-9]+", match["power"])[-1])
        return value * Fraction(10) ** exponent if abs(exponent) <= _LARGEST_POWER else None
    return value * _SCALES["k"] if suffix in {"k", "K"} else value


def _written_value(match: re.Match[str]) -> Fraction | None:
    if match["mixed"]:
        whole, above, below = re.split("[ /]", match["mixed"])
        return int(whole) + Fraction(int(above), int(below)) if int(below) else None
    if match["spaced"]:
        return Fraction(match["spaced"].replace(" ", ""))
    if not _PLAIN.fullmatch(match["plain"]):
        return None
    value = Fraction(re.sub("[,']", "", match["plain"]))
    if not match["over"]:
        return value
    below = int(match["over"].strip(" /"))
    return value / below if below and "." not in match["plain"] else None


def _before(text: str, start: int) -> tuple[int, bool]:
    """The sign of the number at ``start``, and whether it is the right side of an expression.

    A hyphen is a minus at the start, after a space before a glued number, or after an opening; after a
    number it is subtraction, after a word with spaces on both sides a dash.
    """
    window = text[max(0, start - 12) : start]
    found = _SIGN.search(window)
    if found is None:
        head = _CURRENCY_BEFORE.sub("", window).rstrip(" ")
        return 1, bool(re.search(r"[0-9)}%][ ]?[+*×÷^/]$|[0-9)] x$", head))
    before = window[: found.start()]
    if re.search(r"[0-9)\]%}]\s?$", before):
        return 1, True
    is_dash = re.search(r"[A-Za-z]$", before) or (found[2] and re.search(r"[A-Za-z,;] $", before))
    return (-1 if found[1] == "-" and not is_dash else 1), False
