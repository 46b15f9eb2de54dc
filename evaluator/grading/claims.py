r"""The number that a short text states, or that it states none: the fourth step of ``numeric-2``.

Steps over one claim, such as ``18 inches, because 1 foot = 12 inches``:

- what is negated goes (``not 17``), and what explains or checks (``because …``, ``(…)``) once a number stands;
- of an equation the number after the last ``=`` counts, unless a plain number was stated before it;
- of a comparison or an expression in words the number after ``which is`` or ``making`` counts;
- cents are added; a second, other number beside the first makes it a hedge, which is no number.
"""

import re
from dataclasses import replace
from fractions import Fraction

from evaluator.grading.numbers import Number
from evaluator.grading.quantities import preferred, quantities, words_as_digits

LONGEST = 300
_MONEY = r"[$€£¥₹]?"
_NUMBER = rf"{_MONEY}-?\.?[0-9]"
_NEGATED = re.compile(
    rf",?\s?\b(?:and\s|but\s)?(?:not|isn't|isn’t|never|rather than|instead of|nor)\s"
    rf"(?:just\s|only\s|the\s)?{_MONEY}-?[0-9][0-9.,/]*",
    re.IGNORECASE,
)
_REASON = re.compile(
    r"\W(?:as\s(?=[^.;\n]{1,60}=)|because|since|given that|due to|assuming"
    r"|whereas|so that|for example|e\.?g\b|i\.?e\b|check|checking|verif\w+"
    r"|proof|note|reason|explanation|porque|weil|denn|car|perché|parce que|потому|因为|なぜなら|लेकिन)\b",
    re.IGNORECASE,
)
_LOOSE_REASON = re.compile(r",?\s(?:because|since|given that|as(?=\s[^.;\n]{1,60}=))\s", re.IGNORECASE)
_CONCLUDED = re.compile(r"\b(?:so|thus|therefore|hence|which means|it follows)\b", re.IGNORECASE)
_TAKEN_BACK = re.compile(
    rf"[0-9][^\n]{{0,60}}?\b(?:wait|oops|sorry|i mean|i meant|or rather|scratch that|correction|(?<=, )no)[,:]?\s"
    rf"(?:no[,:]?\s)?(?:it's\s|it is\s)?(?={_NUMBER})",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\s?(?:\(([^()\n]*)\)|\[([^\[\]\n]*)\])")
_OPEN_ASIDE = re.compile(r"\s[(\[][^()\[\]\n]*\Z")
ALTERNATIVE = re.compile(r"\W*(?:or|alternatively|maybe|perhaps|possibly|otherwise|else)\b[^0-9]*[0-9]", re.IGNORECASE)
_BREAK = re.compile(r";|,(?=\s)|:(?=\s)|\s[-—–]\s(?=[A-Za-z])|\.\s")
_RESULT = re.compile(
    r"\b(?:which|that|and|this)?\s?(?:is|are|makes?|gives?|equals?|totals?|comes to|amounts to|i\.?e\.?|leaves?|becomes"
    r"|making|giving|totall?ing|leaving|for a total of|or simply)\b",
    re.IGNORECASE,
)
_CENTS = re.compile(
    r"(?: (?:dollars?|euros?|pounds?|rupees?|bucks?))?(?: and|,)? ([0-9]{1,2}) ?(?:cents?|pence|paise|¢|ct|c|p)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    rf"(?:\s?(?:[;,/|&]|to\b|and\b|,\s?(?:and|or)\b)"
    rf"|[^0-9.;\n]{{0,40}}?\b(?:or|versus|vs|otherwise|alternatively|maybe|perhaps|possibly|else)\b[^0-9.\n]{{0,30}}?)"
    rf"\s?(?={_NUMBER})",
    re.IGNORECASE,
)
_BOUND = re.compile(r"(?:(?:more|less|greater|fewer|larger|smaller|other) than|[<>≥≤])\s?[$]?\Z", re.IGNORECASE)
_CHOICE = re.compile(r"\b(?:between|either|one of|any of|ranges?|somewhere)\b|\{\s?\Z", re.IGNORECASE)
_NEXT_SENTENCE = re.compile(
    rf"[.!?\s]{{0,4}}(?:or|alternatively|perhaps|maybe|otherwise"
    rf"|(?:it|this|that) (?:could|may|might) (?:also )?be|if not)\b"
    rf"[^0-9.!?\n]{{0,40}}(?={_NUMBER})",
    re.IGNORECASE,
)
# How many of the second unit make one of the first.
_RATIOS: dict[tuple[str, str], int] = {
    ("dollar", "cent"): 100, ("euro", "cent"): 100, ("pound", "pence"): 100, ("hour", "minute"): 60,
    ("minute", "second"): 60, ("day", "hour"): 24, ("week", "day"): 7, ("year", "month"): 12, ("year", "week"): 52,
    ("foot", "inch"): 12, ("yard", "foot"): 3, ("meter", "centimeter"): 100, ("kilometer", "meter"): 1000,
    ("centimeter", "millimeter"): 10, ("kilogram", "gram"): 1000, ("pound", "ounce"): 16, ("ton", "pound"): 2000,
    ("liter", "milliliter"): 1000, ("gallon", "quart"): 4, ("quart", "pint"): 2, ("pint", "cup"): 2, ("dozen", ""): 12,
}  # fmt: skip
_SPELLINGS = {
    "feet": "foot", "ft": "foot", "inches": "inch", "in": "inch", "m": "meter", "cm": "centimeter", "km": "kilometer",
    "mm": "millimeter", "kg": "kilogram", "g": "gram", "l": "liter", "ml": "milliliter", "min": "minute", "h": "hour",
    "hr": "hour", "s": "second", "metre": "meter", "litre": "liter", "lb": "pound", "oz": "ounce", "penny": "pence",
}  # fmt: skip
_SMALLER = re.compile(r"\s?([A-Za-z]{1,14}),?(?: and)? ([0-9]{1,4}) ?([A-Za-z]{1,14})\b")
_UNIT = re.compile(r"\s?([A-Za-z]{1,14})")


def claimed(claim: str) -> Number | None:
    """The number that a marked text states: one without a value for a hedge or an expression, None for no number."""
    claim = claim[:LONGEST].replace("**", "").replace("__", "")
    taken_back = _TAKEN_BACK.search(claim)
    if taken_back:
        claim = claim[taken_back.end() :]
    bare = without_negated(claim)
    if bare is None:
        return next((replace(number, value=None) for number in quantities(claim)), None)
    if not any(quantities(bare)):
        bare = words_as_digits(bare)
    bare = _without_reasons(bare)
    return None if bare is None else _stated(bare)


def without_negated(text: str) -> str | None:
    """The text without ``not 17`` and the like, or None where every number of it is negated."""
    bare = _NEGATED.sub(" ", text)
    return None if bare != text and not any(quantities(bare)) else bare


def without_reason(sentence: str) -> str:
    """The sentence up to ``because …``, where a number stands before that and nothing is concluded after it."""
    reason = _LOOSE_REASON.search(sentence)
    if not reason or _CONCLUDED.search(sentence, reason.end()) or not any(quantities(sentence[: reason.start()])):
        return sentence
    return sentence[: reason.start()]


def is_hedged_by(found: Number, following: str) -> bool:
    """Return true where the sentence after a claim offers another number: ``18. Or maybe 19.``"""
    offered = _NEXT_SENTENCE.match(following[:LONGEST])
    if not offered:
        return False
    other = next(quantities(following[offered.end() : offered.end() + LONGEST]), None)
    return other is not None and other.value != found.value


_HEDGE = "0_hedge"


def _without_reasons(claim: str) -> str | None:
    """The claim without asides and reasons that stand after its first number; a hedge in one of them spoils it."""
    for _ in range(2):
        for aside in reversed(tuple(_ASIDE.finditer(claim))):
            if any(quantities(claim[: aside.start()])):
                content = aside[1] or aside[2] or ""
                if ALTERNATIVE.match(content):
                    return _HEDGE
                claim = claim[: aside.start()] + claim[aside.end() :]
    for pattern in (_OPEN_ASIDE, _REASON):
        found = pattern.search(claim)
        if found and any(quantities(claim[: found.start()])):
            claim = claim[: found.start()]
    return claim


def _stated(claim: str) -> Number | None:
    for part in _parts(claim):
        found = list(quantities(part))
        if not found:
            continue
        first = preferred(found, part)[0]
        if first.value is None and len(found) > 1:
            first = _after_result(part, first.end) or first
        if first.value is None and part is not claim:
            continue
        if _BOUND.search(part, 0, first.start):
            return replace(first, value=None)
        return _alone(_with_parts(first, part), part)
    return None


def _parts(claim: str) -> tuple[str, ...]:
    """The claim's parts in the order in which they are read: a plain first part, what follows the last ``=``, all."""
    first = _BREAK.split(claim, maxsplit=1)[0]
    tail = claim.rpartition("=")[2]
    if tail == claim:
        return (claim,)
    plain = next(quantities(first), None)
    if "=" not in first and plain is not None and plain.value is not None:
        return (first, tail, claim)
    return (tail, claim)


def _after_result(part: str, start: int) -> Number | None:
    """The number after the last ``which is`` or the like: what an expression in words comes to."""
    results = tuple(_RESULT.finditer(part, start))
    return next(quantities(part[results[-1].end() :]), None) if results else None


def _with_parts(first: Number, part: str) -> Number:
    """The number with its smaller unit: ``18 dollars and 50 cents``, ``$18 and 50 cents``, ``5 feet 6 inches``."""
    if first.value is None:
        return first
    cents = _CENTS.match(part, first.end)
    if cents:
        return replace(first, value=first.value + Fraction(int(cents[1]), 100), end=cents.end())
    smaller = _SMALLER.match(part, first.end)
    ratio = _RATIOS.get((_singular(smaller[1]), _singular(smaller[3]))) if smaller else None
    if smaller is None or ratio is None or int(smaller[2]) >= ratio:
        return first
    return replace(first, value=first.value + Fraction(int(smaller[2]), ratio), end=smaller.end())


def _alone(first: Number, part: str) -> Number:
    """The number, or one without a value where another one is offered with it."""
    others = [number for number in quantities(part[first.end :]) if number.value is not None]
    chosen = _CHOICE.search(part, 0, max(0, first.start))
    if chosen and any(number.value != first.value for number in others):
        return replace(first, value=None)
    listed = _OTHER.match(part, first.end)
    if listed:
        rest = part[listed.end() :]
        other = next(quantities(rest), None)
        if other is None or not (_same(first, part, other, rest) or _result_of(rest) == first.value):
            return replace(first, value=None)
    return first


def _result_of(rest: str) -> Fraction | None:
    tail = rest.rpartition("=")[2]
    result = next(quantities(tail), None) if tail != rest else None
    return result.value if result else None


def _same(first: Number, part: str, other: Number, rest: str) -> bool:
    """Return true for one quantity said twice: ``1/2, or 0.5``, ``2 hours, or 120 minutes``."""
    if first.value is None or other.value is None:
        return False
    if first.value == other.value:
        return True
    units = (_unit(part, first.end), _unit(rest, other.end))
    ratio = _RATIOS.get(units) or (1 / Fraction(_RATIOS[units[::-1]]) if units[::-1] in _RATIOS else None)
    return ratio is not None and first.value * ratio == other.value


def _unit(text: str, end: int) -> str:
    found = _UNIT.match(text, end)
    return _singular(found[1]) if found else ""


def _singular(unit: str) -> str:
    word = unit.lower()
    single = word[:-1] if word.endswith("s") and len(word) > 1 else word
    return _SPELLINGS.get(word) or _SPELLINGS.get(single) or single
