"""Odd-one-out test of new items among public ones, by annotators.

GSM1k's annotators identified the new one of five in 21.83% of 1,205 cases (Zhang et al., 2024).
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluator.errors import Code, error
from evaluator.items import Item

OTHERS = 4
CHOICES = ("A", "B", "C", "D", "E")


@dataclass(frozen=True)
class Row:
    """Question to an annotator: five texts, one of which is new. ``odd`` is its letter."""

    number: int
    texts: tuple[str, ...]
    odd: str


@dataclass(frozen=True)
class Score:
    """Share of rows in which the new item was identified, with Wilson's 95% ``interval``.

    ``p`` is that of the binomial test against guessing, one in five.
    """

    right: int
    n: int
    share: float
    interval: tuple[float, float]
    p: float


def make_pack(
    new: Sequence[Item],
    public: Sequence[Item],
    *,
    seed: int,
) -> list[Row]:
    """Return a row for each new item, with distinct public items. Raises ``set_empty``."""
    if not new or len(public) < OTHERS:
        raise error(Code.SET_EMPTY, f"an odd-one-out needs {OTHERS} public items")
    draw = random.Random(seed)  # noqa: S311 - a draw that can be repeated, not a secret
    rows: list[Row] = []
    for number, item in enumerate(new, start=1):
        position = draw.randrange(OTHERS + 1)
        others = draw.sample(public, OTHERS)
        texts = [other.question for other in others]
        texts.insert(position, item.question)
        row = Row(
            number=number,
            texts=tuple(texts),
            odd=CHOICES[position],
        )
        rows.append(row)
    return rows


def score(answers: Mapping[int, str], key: Mapping[int, str]) -> Score:
    """Compare the annotators' letters with the key.

    Raises ``sheet_unreadable`` unless every row is answered.
    """
    # Loading it takes longer than most commands take.
    from scipy import stats  # noqa: PLC0415

    is_whole = key and answers.keys() == key.keys()
    letters = {*answers.values(), *key.values()}
    if not is_whole or not letters <= set(CHOICES):
        raise error(Code.SHEET_UNREADABLE, "every row needs one letter from A to E")
    right = sum(answers[number] == key[number] for number in key)
    guessed = 1 / (OTHERS + 1)
    test = stats.binomtest(right, len(key), guessed, alternative="greater")
    two_sided = stats.binomtest(right, len(key))
    interval = two_sided.proportion_ci(method="wilson")
    return Score(
        right=right,
        n=len(key),
        share=right / len(key),
        interval=(float(interval.low), float(interval.high)),
        p=float(test.pvalue),
    )
