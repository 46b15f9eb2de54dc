"""Items that give themselves away: each holds its own random canary in its question and in its answer.

Three items hold plain words instead, because a filter may know the prefix.
"""

import json
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

PLAIN_WORDS = 3
"""How many of the items hold words instead of ``CNRY-<32 hex>``."""

_COUNTS = [
    "seven",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
    "thirty",
]
_COLOURS = [
    "violet",
    "amber",
    "crimson",
    "teal",
    "ochre",
    "scarlet",
    "indigo",
    "maroon",
    "turquoise",
    "magenta",
]
_THINGS = [
    "kayaks",
    "lanterns",
    "thimbles",
    "accordions",
    "marigolds",
    "walnuts",
    "trombones",
    "anvils",
    "galoshes",
    "pelicans",
]
_DEEDS = [
    "drifting",
    "humming",
    "folding",
    "waltzing",
    "sneezing",
    "glowing",
    "yodelling",
    "juggling",
    "snoring",
    "blinking",
]
_NEAR = [
    "near",
    "beneath",
    "behind",
    "beyond",
    "above",
    "outside",
    "opposite",
    "around",
    "towards",
    "against",
]
_PLACES = [
    "Reykjavik",
    "Ljubljana",
    "Samarkand",
    "Valparaiso",
    "Timbuktu",
    "Antananarivo",
    "Saskatoon",
    "Bratislava",
    "Ulaanbaatar",
]


@dataclass(frozen=True)
class Canary:
    """One planted secret: ``text`` stands in the field of the item with that index.

    Keys are canaries too: ``text`` is then the key in hexadecimal and ``raw`` its bytes; they belong to no item.
    """

    text: str
    item: int
    field: str
    raw: bytes = b""

    def fragments(self) -> tuple[str, str]:
        """Two halves that are searched alone, so that neither a cut line nor a stripped prefix hides one."""
        if self.text.startswith("CNRY-"):
            return self.text[5:21], self.text[21:]
        if self.raw:
            return self.text[: len(self.raw)], self.text[len(self.raw) :]
        words = self.text.split(" ")
        return " ".join(words[:3]), " ".join(words[3:])


@dataclass(frozen=True)
class Planted:
    """A set of ``records`` ({"question", "answer"}, answers ending in ``#### N``) and what they hide."""

    records: tuple[dict[str, str], ...]
    canaries: tuple[Canary, ...]

    def jsonl(self) -> bytes:
        """The set as JSON lines, as the seal command reads it."""
        return b"".join(json.dumps(record).encode() + b"\n" for record in self.records)


def key(raw: bytes, field: str) -> Canary:
    """A private key that must be found nowhere but where it lives."""
    return Canary(raw.hex(), -1, field, raw)


def token(field: str) -> Canary:
    """A canary of no item, for what is typed or planted by hand: new each time."""
    return Canary(f"CNRY-{secrets.token_hex(16)}", -1, field)


def plant(n: int, seed: int) -> Planted:
    """``n`` items with two canaries each, the same ones for the same seed."""
    source = random.Random(seed)
    records, canaries = [], []
    for index in range(n):
        words = index < PLAIN_WORDS
        asked, solved = (
            Canary(_text(source, words=words), index, field) for field in ("question", "answer")
        )
        gold = source.randrange(2, 500)
        question = f"{asked.text} stand on {gold - 1} shelves. One more shelf is built. How many shelves are there?"
        records.append(
            {"question": question, "answer": f"Think of {solved.text} first. #### {gold}"}
        )
        canaries += [asked, solved]
    if len({half for canary in canaries for half in canary.fragments()}) != 4 * n:
        return plant(n, seed + 1_000_003)  # two canaries share half of their words
    return Planted(tuple(records), tuple(canaries))


def _text(source: random.Random, *, words: bool) -> str:
    if not words:
        return f"CNRY-{source.getrandbits(128):032x}"
    pools: Sequence[Sequence[str]] = (_COUNTS, _COLOURS, _THINGS, _DEEDS, _NEAR, _PLACES)
    return " ".join(source.choice(pool) for pool in pools)
