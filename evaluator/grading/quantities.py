"""Numbers with what belongs to them: scales, clock times, identifiers, words. The third step of ``numeric-2``.

A token is read by :mod:`evaluator.grading.numbers`; here its neighbours are looked at.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

from evaluator.grading.numbers import Number, numbers

_CURRENCY = "$€£¥₹"
_SCALES = {
    "hundred": 10**2,
    "lakh": 10**5,
    "lakhs": 10**5,
    "crore": 10**7,
    "crores": 10**7,
    "mn": 10**6,
    "mln": 10**6,
    "mio": 10**6,
    "Mio": 10**6,
    "Mrd": 10**9,
    "M": 10**6,
    "MM": 10**6,
    "bn": 10**9,
    "bln": 10**9,
    "B": 10**9,
    "milliard": 10**9,
    "tn": 10**12,
    "trn": 10**12,
    "T": 10**12,
    "trillion": 10**12,
    "quadrillion": 10**15,
}
_ATTACHED = re.compile(r"(?:MM|M|B|T|mn|mln|mio|bn|bln|tn|trn)\Z")
_FOLLOWING = re.compile(rf" ({'|'.join(sorted(_SCALES, key=len, reverse=True))})(?![A-Za-z0-9^/])")
_AFTER_CURRENCY = {"m": 10**6, "b": 10**9}
_CLOCK = re.compile(r"-?([0-9]{1,2}):00(?::00)?(?:[ap]\.?m)?\Z", re.IGNORECASE)
_LABEL_BEFORE = re.compile(
    r"(?:\#|\b(?:nos?\.?|number|numbers|step|question|problem|option|choice|page|chapter|figure|table|example"
    r"|horse|room|bus|house|gate|lane|apartment|version|method)\s)\Z",
    re.IGNORECASE,
)
_WORD_OPERATION = re.compile(
    rf"\s?(?:%|percent)\sof\s[{_CURRENCY}]?[0-9]"
    rf"|\s?(?:[A-Za-z]{{1,15}}\s){{0,2}}?(?:(?:more|less|fewer|greater|older|younger|taller|longer)\sthan|times|plus|minus"
    rf"|added\sto|multiplied\sby|divided\sby)\s[{_CURRENCY}]?[0-9]"
)
_MOST_DIGITS_AFTER = 40


def quantities(text: str) -> Iterator[Number]:
    """The numbers of a text in order, scaled; see :func:`evaluator.grading.numbers.numbers`."""
    for number in numbers(text):
        yield _scaled(number, text)


def is_label(number: Number, text: str) -> bool:
    """Return true for a number that only names something, such as ``#12`` or ``step 3``."""
    before = text[max(0, number.start - 12) : number.start]
    return bool(_LABEL_BEFORE.search(before)) or bool(re.fullmatch(r"[0-9]+(?:st|nd|rd|th)", number.text))


def preferred(found: list[Number], text: str) -> list[Number]:
    """The numbers that are no labels, or all where each is one."""
    return [number for number in found if not is_label(number, text)] or found


def _scaled(number: Number, text: str) -> Number:
    clock = _CLOCK.match(number.text)
    if clock and int(clock[1]) <= _HOURS:
        return replace(number, value=Fraction(int(clock[1])))
    if number.value is None:
        return number
    scale, end = _scale(number, text)
    value: Fraction | None = number.value * scale
    if _WORD_OPERATION.match(text, end, end + _MOST_DIGITS_AFTER):
        value = None
    return replace(number, value=value, end=end)


_HOURS = 24


def _scale(number: Number, text: str) -> tuple[int, int]:
    attached = _ATTACHED.search(number.text)
    if attached:
        return _SCALES[attached[0]], number.end
    paid = text[max(0, number.start - 2) : number.start].rstrip(" ")[-1:] in set(_CURRENCY)
    if paid and number.text[-1:] in _AFTER_CURRENCY:
        return _AFTER_CURRENCY[number.text[-1:]], number.end
    following = _FOLLOWING.match(text, number.end)
    if following:
        return _SCALES[following[1]], following.end()
    return 1, number.end


_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * (place + 2) for place, word in enumerate(_TENS)}
    | {"fourty": 40}
)
_LARGE = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fifth": 5, "fifths": 5}
_WORD = "|".join(sorted((*_SMALL, *_LARGE), key=len, reverse=True))
_WORDS = re.compile(
    rf"\b(?:(?P<a>an?)[ ](?=hundred|thousand|million|billion))?"
    rf"(?P<words>(?:{_WORD})(?:(?:[ -]|[ ]and[ ])(?:{_WORD})){{0,15}})"
    rf"(?:[ -](?P<part>{'|'.join(_PARTS)}))?\b(?:[ ]and[ ]a[ ](?P<half>half)\b)?",
    re.IGNORECASE,
)
_SIGN_WORD = re.compile(r"\b(?:negative|minus) (?=-?[0-9])", re.IGNORECASE)


def words_as_digits(text: str) -> str:
    """Spell English number words in digits: ``negative two hundred and five`` becomes ``-205``."""
    return _SIGN_WORD.sub("-", _WORDS.sub(_digits, text))


def _digits(match: re.Match[str]) -> str:
    words = [word for word in re.split("[ -]", match["words"].lower()) if word != "and"]
    part = (match["part"] or "").lower()
    if part:
        value = _value(words)
        return f"{value}/{_PARTS[part]}" if value is not None else match[0]
    value = _value(words)
    if value is None:
        return match[0]
    return f"{value}.5" if match["half"] else str(value)


def _value(words: list[str]) -> int | None:
    """The value of number words, or None for a list of digits such as ``one two three``."""
    total, group, last = 0, 0, 0
    for word in words:
        if word in _SMALL:
            small = _SMALL[word]
            if last and not (last >= 20 and last % 10 == 0 and small < 10):
                return None
            group, last = group + small, small
        elif word == "hundred":
            group, last = max(1, group) * 100, 0
        else:
            total, group, last = total + max(1, group) * _LARGE[word], 0, 0
    return total + group
