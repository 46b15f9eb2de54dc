"""Near-duplicates: runs of words that a new item shares with a public one, once numbers and punctuation are gone.

Thirteen words in a row are how GPT-3's authors looked for overlap (Brown et al., 2020, appendix C), and TinyGSM's
after them; eight are stricter and often innocent.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

_WORD = re.compile(r"[^\W\d_]+")
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def visible(text: str) -> str:
    """The text without what takes no room: a soft hyphen or a zero-width space must not make two words of one."""
    return _INVISIBLE.sub("", text)


def words(text: str) -> list[str]:
    """The words of a text, case folded, without numbers and punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", visible(text)).casefold())


def grams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    """Every run of ``n`` words; the whole text where it is shorter and not empty."""
    found = words(text)
    if 0 < len(found) < n:
        yield tuple(found)
    for start in range(len(found) - n + 1):
        yield tuple(found[start : start + n])


class Overlap:
    """The runs of ``n`` words of a public set. Built once, asked for each new item."""

    def __init__(self, public: Iterable[str], n: int) -> None:
        self._n = n
        self._known: dict[tuple[str, ...], int] = {}
        for number, text in enumerate(public, start=1):
            for gram in grams(text, n):
                self._known.setdefault(gram, number)

    def find(self, text: str) -> int | None:
        """The number of the first public item that shares a run of words with the text, from 1; None for none."""
        shared = (self._known.get(gram) for gram in grams(text, self._n))
        return next((number for number in shared if number is not None), None)


def pairs(texts: Sequence[str], public: Sequence[str], n: int) -> list[tuple[int, int]]:
    """(new item, public item) that share a run of ``n`` words, as numbers from 1; at most one for each new item."""
    overlap = Overlap(public, n)
    found = ((number, overlap.find(text)) for number, text in enumerate(texts, start=1))
    return [(number, other) for number, other in found if other is not None]
