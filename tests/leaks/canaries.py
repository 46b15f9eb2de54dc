"""Items that give themselves away: each holds its own random canary in its question and in its answer.

Three items hold plain words instead, because a filter may know the prefix.
"""

import json
import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
        if self.text.startswith(("CNRY-", "CNRY_")):
            return self.text[5:21], self.text[21:]
        if self.raw:
            return self.text[: len(self.raw)], self.text[len(self.raw) :]
        if self.text.isdigit():
            return self.text[: len(self.text) // 2], self.text[len(self.text) // 2 :]
        words = self.text.split(" ")
        first = " ".join(words[:3])
        return first, " ".join(words[3:]) or first


@dataclass(frozen=True)
class Planted:
    """A set of ``records`` (items as they are written) and what they hide."""

    records: tuple[dict[str, Any], ...]
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


def plant_programs(n: int, seed: int) -> tuple[Planted, dict[str, str]]:
    """``n`` items answered by programs, and a completion for each question, all with canaries.

    Question, reference solution, hidden tests and prelude have one each, and so has the completion.
    """
    source = random.Random(seed)
    records, canaries, completions = [], [], {}
    for index in range(n):
        asked, solved, tested, begun, written = (
            Canary(_text(source, words=False), index, field)
            for field in ("question", "answer", "tests", "prelude", "completion")
        )
        entry = f"add_{index}"
        question = f'def {entry}(x):\n    """Add {index + 1}. {asked.text}"""\n'
        records.append(
            {
                "kind": "tests",
                "question": question,
                "answer": f"    # {solved.text}\n    return x + {index + 1}\n",
                "entry": entry,
                "tests": f"# {tested.text}\nassert {entry}(BASE) == BASE + {index + 1}\n",
                "prelude": f"# {begun.text}\nBASE = 7\n",
            }
        )
        added = index + 1 if index % 2 else -1
        raising = f"    raise ValueError('{written.text}')\n" if index % 5 == 4 else ""
        completions[question] = f"    # {written.text}\n{raising}    return x + {added}\n"
        canaries += [asked, solved, tested, begun, written]
    return Planted(tuple(records), tuple(canaries)), completions


def plant_tests(n: int, seed: int) -> Planted:
    """``n`` items of kind ``tests``, with a canary in each of their fields."""
    source = random.Random(seed)
    records, canaries = [], []
    for index in range(n):
        hidden = {
            field: Canary(_text(source, words=False), index, field)
            for field in ("question", "answer", "tests", "prelude")
        }
        entry = f"CNRY_{source.getrandbits(128):032x}"
        canaries += [*hidden.values(), Canary(entry, index, "entry")]
        records.append(
            {
                "kind": "tests",
                "question": f"Add {index + 1}, as {hidden['question'].text} does.",
                "answer": f"def {entry}(x):\n    # {hidden['answer'].text}\n    return x + {index + 1}\n",
                "entry": entry,
                "tests": f"# {hidden['tests'].text}\nassert {entry}(1) == {index + 2}\nassert {entry}(5) == {index + 6}\n",
                "prelude": f"# {hidden['prelude'].text}\n",
            }
        )
    return Planted(tuple(records), tuple(canaries))


def plant_choices(n: int, seed: int) -> Planted:
    """``n`` items of kind ``choice``, with a canary in question, answer and both choices."""
    source = random.Random(seed)
    records, canaries = [], []
    for index in range(n):
        asked, solved, first, second = (
            Canary(_text(source, words=False), index, field)
            for field in ("question", "answer", "choices", "choices")
        )
        canaries += [asked, solved, first, second]
        records.append(
            {
                "kind": "choice",
                "question": f"Which is {asked.text}?",
                "answer": f"It is not {solved.text}. #### A",
                "choices": [first.text, second.text],
            }
        )
    return Planted(tuple(records), tuple(canaries))


def _text(source: random.Random, *, words: bool) -> str:
    if not words:
        return f"CNRY-{source.getrandbits(128):032x}"
    pools: Sequence[Sequence[str]] = (_COUNTS, _COLOURS, _THINGS, _DEEDS, _NEAR, _PLACES)
    return " ".join(source.choice(pool) for pool in pools)
