"""Near-duplicates: words in a row that a new item shares with a public one.

Numbers and punctuation are ignored. Thirteen words in a row are the criterion of GPT-3 (Brown et
al., 2020, appendix C) and of TinyGSM; eight are stricter and often a coincidence.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_WORD = re.compile(r"[^\W\d_]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def visible(text: str) -> str:
    """Return the text without invisible characters, so that none of them splits a word."""
    return _INVISIBLE.sub("", text)


def words(text: str) -> list[str]:
    """Return the words of a text, case folded, without numbers and punctuation."""
    normalised = unicodedata.normalize("NFKC", visible(text))
    return _WORD.findall(normalised.casefold())


def grams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    """Yield every ``n`` words in a row; the whole text if it is shorter and not empty."""
    sequence = words(text)
    if 0 < len(sequence) < n:
        yield tuple(sequence)
    for start in range(len(sequence) - n + 1):
        yield tuple(sequence[start : start + n])


class Overlap:
    """Index of all ``n`` words in a row of a public set."""

    def __init__(self, public: Iterable[str], n: int) -> None:
        self._n = n
        self._known: dict[tuple[str, ...], int] = {}
        for number, text in enumerate(public, start=1):
            for gram in grams(text, n):
                self._known.setdefault(gram, number)

    def find(self, text: str) -> int | None:
        """Return the number, from 1, of a public item that shares words with the text, or None.

        It is the first item that has the first shared words in a row.
        """
        for gram in grams(text, self._n):
            if gram in self._known:
                return self._known[gram]
        return None


def pairs(
    texts: Sequence[str],
    public: Sequence[str],
    n: int,
) -> list[tuple[int, int]]:
    """Return pairs of a new and a public item that share ``n`` words in a row.

    As numbers from 1, at most one pair for each new item.
    """
    overlap = Overlap(public, n)
    shared: list[tuple[int, int]] = []
    for number, text in enumerate(texts, start=1):
        other = overlap.find(text)
        if other is not None:
            shared.append((number, other))
    return shared
