"""Likeness of word problems: equal numbers and similar words, in whichever order.

A rephrased question shares no eight words in a row with its original, but it has to keep the
numbers and what is counted. Two measures are taken:

- *Numbers*: Jaccard index of the multisets of numbers, those written as words among them.
- *Words*: cosine of the stems of both texts, weighted by inverse document frequency in the set
  (K. Spärck Jones, J. Documentation 28 (1972) 11).

Both have to reach their threshold. A match is a reason to read both texts, not a finding: many
innocent problems count apples by twos.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer

from evaluator.authoring.near import visible

NUMBERS = 0.75
WORDS = 0.25
"""Least likeness of numbers and of words. ``bench.overlap`` prints what they find."""
LEAST_NUMBERS = 2
"""Fewest numbers of a question that is compared: one number alone is no signature."""
WINDOW = 100
"""Tokens of one passage of a longer text; the next passage begins in the middle of it."""
_PARTS = re.compile(r"\n|\b(?:answer|solution|output|response|result|a)\s*:", re.IGNORECASE)
_TOKEN = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|[^\W\d_]+")
_STEMMER = snowballstemmer.stemmer("english")
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
_COUNTED = {
    **{word: str(value) for value, word in enumerate(_UNITS)},
    **{word: str(10 * value) for value, word in enumerate(_TENS, start=2)},
    **dict.fromkeys(("once",), "1"),
    **dict.fromkeys(("twice", "double", "doubled", "doubles", "couple", "pair"), "2"),
    **dict.fromkeys(("thrice", "triple", "tripled", "triples"), "3"),
    **dict.fromkeys(("half", "halves", "halved"), "1/2"),
    **dict.fromkeys(("third", "thirds"), "1/3"),
    **dict.fromkeys(("quarter", "quarters", "fourth", "fourths"), "1/4"),
    "dozen": "12",
    "thousand": "1000",
    "million": "1000000",
}  # fmt: skip
_FUNCTION_WORDS = frozenset((
    "a", "all", "an", "and", "are", "as", "at", "be", "been", "by", "can", "did", "do", "does",
    "each", "every", "for", "from", "had", "has", "have", "he", "her", "him", "his", "how", "i",
    "if", "in", "is", "it", "its", "many", "more", "much", "number", "of", "on", "or", "per", "she",
    "so", "than", "that", "the", "their", "them", "then", "there", "they", "this", "to", "total",
    "was", "we", "were", "what", "when", "which", "who", "will", "with", "would", "you",
))  # fmt: skip


def tokens(text: str) -> list[str]:
    """Return the words and the numbers of a text, case folded, in order."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", visible(text))
    return _TOKEN.findall(text.casefold())


@lru_cache(maxsize=1_000_000)
def number_of(token: str) -> str | None:
    """Return the number that a token states, in one spelling for each value; None for a word."""
    if token[0].isdecimal():
        plain = token.replace(",", "")
        if len(plain) > 300:
            return plain
        return f"{float(plain):.15g}"
    return _COUNTED.get(token)


@lru_cache(maxsize=1_000_000)
def stem_of(token: str) -> str | None:
    """Return the stem of a content word; None for a number and for a function word."""
    if number_of(token) is not None:
        return None
    if token in _FUNCTION_WORDS or len(token) < 2:
        return None
    return str(_STEMMER.stemWord(token))


def stems(words: Iterable[str]) -> frozenset[str]:
    """Return the stems of the content words."""
    return frozenset(stem for stem in map(stem_of, words) if stem is not None)


def numbered(words: Iterable[str]) -> frozenset[tuple[str, int]]:
    """Return the multiset of numbers as a set: each number with the count of its occurrence."""
    seen: Counter[str] = Counter()
    members: list[tuple[str, int]] = []
    for word in words:
        number = number_of(word)
        if number is not None:
            members.append((number, seen[number]))
            seen[number] += 1
    return frozenset(members)


def passages(text: str, sequence: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the parts of a text that may be a word problem, as tokens.

    These are the whole ``sequence`` of its tokens, or overlapping windows of a long one; and each
    line, and each part before and after a label such as "Answer:", where it has several. A solution
    that follows a question has numbers of its own.
    """
    if len(sequence) <= WINDOW * 3 // 2:
        yield sequence
    else:
        step = WINDOW // 2
        for start in range(0, len(sequence) - step, step):
            yield sequence[start : start + WINDOW]
    parts = [part for part in _PARTS.split(text) if part.strip()]
    if len(parts) > 1:
        for part in parts:
            yield tokens(part)


class Weights:
    """Inverse document frequencies of the stems of a set."""

    def __init__(self, documents: Sequence[frozenset[str]]) -> None:
        self._documents = len(documents)
        self._containing = Counter(stem for document in documents for stem in document)

    def of(self, stem: str) -> float:
        """Return the weight of a stem. One that the set does not have counts as its rarest ones."""
        containing = max(1, self._containing[stem])
        return math.log((self._documents + 1) / (containing + 0.5))

    def vector(self, document: frozenset[str]) -> dict[str, float]:
        """Return the weights of a text's stems, scaled to length 1; empty for a text without."""
        weights = {stem: self.of(stem) for stem in document}
        squares = [weight * weight for weight in weights.values()]
        length = math.sqrt(sum(squares))
        if not length:
            return {}
        return {stem: weight / length for stem, weight in weights.items()}


def cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return the cosine of two vectors of length 1."""
    if len(other) < len(one):
        one, other = other, one
    products = [weight * other.get(stem, 0.0) for stem, weight in one.items()]
    return sum(products)


@dataclass(frozen=True, slots=True)
class Alike:
    """Item that a passage is like, with the likeness of their numbers and of their words."""

    item: int
    numbers: float
    words: float


class LikenessIndex:
    """Word problems of a set, to find those that a passage is like.

    A passage whose numbers are as like as the threshold shares at least one of its rarest numbers
    with the item, so only items with one of these are compared (prefix filtering: R. Bayardo,
    Y. Ma and R. Srikant, WWW 2007).
    """

    def __init__(self, questions: Sequence[str]) -> None:
        sequences = [tokens(question) for question in questions]
        self._numbers = [numbered(sequence) for sequence in sequences]
        documents = [stems(sequence) for sequence in sequences]
        self._weights = Weights(documents)
        self._vectors = [self._weights.vector(document) for document in documents]
        postings: dict[tuple[str, int], list[int]] = defaultdict(list)
        for item, numbers in enumerate(self._numbers):
            if len(numbers) < LEAST_NUMBERS:
                continue
            for number in numbers:
                postings[number].append(item)
        self._postings = dict(postings)

    def find(self, passage: Sequence[str]) -> list[Alike]:
        """Return the items that the tokens of a passage are like."""
        numbers = numbered(passage)
        if len(numbers) < LEAST_NUMBERS:
            return []

        def frequency(number: tuple[str, int]) -> int:
            return len(self._postings.get(number, ()))

        by_rarity = sorted(numbers, key=frequency)
        least_shared = math.ceil(NUMBERS * len(numbers))
        rarest = by_rarity[: len(numbers) - least_shared + 1]
        sharing: set[int] = set()
        for number in rarest:
            sharing.update(self._postings.get(number, ()))
        near: list[tuple[int, float]] = []
        for item in sharing:
            own = self._numbers[item]
            shared = len(own & numbers)
            counted = len(own) + len(numbers)
            likeness = shared / (counted - shared)
            if likeness >= NUMBERS:
                near.append((item, likeness))
        if not near:
            return []
        vector = self._weights.vector(stems(passage))
        found: list[Alike] = []
        for item, likeness in near:
            words = cosine(self._vectors[item], vector)
            if words >= WORDS:
                found.append(Alike(item, likeness, words))
        return found
