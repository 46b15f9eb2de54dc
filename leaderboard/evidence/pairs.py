"""Comparison of two runs from outcomes, without a site: ``python -m leaderboard.evidence.pairs``.

It reads one JSON object (:class:`Question`) from standard input and prints another
(:class:`Answer`). The statistics are those of a board's page "Compare". ``holdfast compare`` starts
it.
"""

import sys

import msgspec
import numpy as np

from leaderboard.evidence.statistics.difficulty import by_difficulty
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.statistics.paired import Paired, gap_change, paired

BAD_INPUT = 2
"""Exit code where the object cannot be read."""
Outcomes = list[bool | None]
"""Right, wrong or missing, by item."""


class Sides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Outcomes of both runs on one set, of as many items."""

    first: Outcomes
    second: Outcomes


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Outcomes on the public set, perhaps on a private one, and those of others on the public set.

    ``others`` state how easy the public items are.
    """

    public: Sides
    private: Sides | None = None
    others: list[Outcomes] = []


class Compared(msgspec.Struct, frozen=True):
    """First run less the second on ``n`` items: a fraction, its 95% interval, and exact p.

    ``both`` are items that both have right, ``wins`` those that only the first has, ``losses``
    those that only the second has.
    """

    n: int
    both: int
    wins: int
    losses: int
    difference: float
    interval: tuple[float, float]
    p: float

    @property
    def first_share(self) -> float:
        """Score of the first run, as a fraction."""
        return (self.both + self.wins) / self.n

    @property
    def second_share(self) -> float:
        """Score of the second run, as a fraction."""
        return (self.both + self.losses) / self.n


class Group(msgspec.Struct, frozen=True):
    """Third of the public items, of which other models had ``low`` to ``high`` right."""

    name: str
    low: float
    high: float
    result: Compared


class GapChange(msgspec.Struct, frozen=True):
    """Gap of each run, and the first less the second with its 95% interval; fractions."""

    first: float
    second: float
    difference: float
    interval: tuple[float, float]


class Answer(msgspec.Struct, frozen=True):
    """Comparison on each set; ``gap`` is None without a private set."""

    public: Compared
    private: Compared | None
    gap: GapChange | None
    difficulty: list[Group]


def answer(question: Question) -> Answer:
    """Return the comparison. Pure. Raises ValueError for outcomes of different numbers of items."""
    public = _compared(question.public)
    private = _compared(question.private) if question.private else None
    first = _numbers(question.public.first)
    second = _numbers(question.public.second)
    others = [_numbers(one) for one in question.others]
    if any(len(one) != len(first) for one in others):
        raise ValueError("the other runs are not of the same items")
    matrix = np.array(others).reshape(len(others), len(first))
    groups = []
    for group in by_difficulty(first, second, matrix):
        result = _result(group.result)
        groups.append(Group(group.name, group.low, group.high, result))
    gap = None
    if private:
        # The gap of each run, on the items that both were asked, and their difference.
        gap = GapChange(
            first=public.first_share - private.first_share,
            second=public.second_share - private.second_share,
            difference=public.difference - private.difference,
            interval=gap_change(
                public.difference,
                public.interval,
                private.difference,
                private.interval,
            ),
        )
    return Answer(
        public=public,
        private=private,
        gap=gap,
        difficulty=groups,
    )


def _numbers(marks: Outcomes) -> Floats:
    numbers = []
    for right in marks:
        numbers.append(np.nan if right is None else float(right))
    return np.array(numbers)


def _compared(sides: Sides) -> Compared:
    first = _numbers(sides.first)
    second = _numbers(sides.second)
    return _result(paired(first, second))


def _result(found: Paired) -> Compared:
    return Compared(
        n=found.n,
        both=found.both,
        wins=found.wins,
        losses=found.losses,
        difference=found.difference,
        interval=(found.interval.low, found.interval.high),
        p=found.p,
    )


def main() -> int:
    """Answer the question on standard input. Returns 2, with one sentence, for a bad one."""
    try:
        text = sys.stdin.buffer.read()
        question = msgspec.json.decode(text, type=Question)
        result = answer(question)
    except (msgspec.DecodeError, ValueError) as failure:
        print(failure, file=sys.stderr)
        return BAD_INPUT
    encoded = msgspec.json.encode(result)
    sys.stdout.write(encoded.decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
