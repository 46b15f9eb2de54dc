"""Comparison of two ranked models on the same items, by a paired test. Computed when asked for.

Pairs of models are too many to be stored with a snapshot. On a sealed set only a coarse result is
published: counts of the items on which two runs differ would tell the authors of weights more about
single items than two scores do (ADR 34). For the same reason only the public set is compared by the
difficulty of its items, and the change of the gap follows from what is published (ADR 51).
"""

from dataclasses import dataclass
from math import ceil, copysign, floor
from uuid import UUID

import numpy as np

from evaluator.contract import Wire
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import Row
from leaderboard.charts.points import evenly
from leaderboard.evidence import formats
from leaderboard.evidence.entries import item_outcomes, values
from leaderboard.evidence.statistics.difficulty import by_difficulty
from leaderboard.evidence.statistics.paired import Paired, gap_change, paired

P_BOUNDS = (0.001, 0.01, 0.05)
"""Bounds of a p-value that are published for a sealed set: the smallest that holds."""
STEPS = 200
"""Steps of an interval that is published for a sealed set, in all: half a point each."""
MOST_OTHERS = 200
"""Most other models that say how easy an item is."""
NOT_COMPARED = {
    "endpoint": "An endpoint's operator knows its answers, so the sealed set is compared only"
    " between weights that were run here.",
    "other_items": "The two models were asked different items of the sealed set.",
    "outdated": "Outcomes have changed since this ranking; the next one can be compared.",
}
"""Reason why there is no comparison on the sealed set, by code."""


class SetComparison(Wire, frozen=True, kw_only=True):
    """First model less the second on the ``n`` items of one set that both were asked.

    Differences and ends of the 95% interval are fractions. ``wins`` are items that the first model
    has right and the second has not, ``p`` is McNemar's exact and two-sided. Of a sealed set both
    are None, the interval is rounded outwards to half a point, and ``p_at_most`` is one of
    :data:`P_BOUNDS`, None for a larger p.
    """

    n: int
    difference: float
    interval: tuple[float, float]
    p_at_most: float | None
    wins: int | None = None
    losses: int | None = None
    p: float | None = None

    @classmethod
    def exact(cls, result: Paired) -> "SetComparison":
        """Return the whole result, for a public set."""
        return cls(
            n=result.n,
            difference=result.difference,
            interval=(result.interval.low, result.interval.high),
            p_at_most=_bound_of(result.p),
            wins=result.wins,
            losses=result.losses,
            p=result.p,
        )

    @classmethod
    def coarse(cls, result: Paired) -> "SetComparison":
        """Return the part of the result that is published of a sealed set."""
        low = floor(result.interval.low * STEPS) / STEPS
        high = ceil(result.interval.high * STEPS) / STEPS
        return cls(
            n=result.n,
            difference=result.difference,
            interval=(low, high),
            p_at_most=_bound_of(result.p),
        )

    @property
    def is_significant(self) -> bool:
        """True if the models differ at the 5% level."""
        return self.p_at_most is not None

    def conclusion(self, first: str, second: str) -> str:
        """Return the result in a sentence; ``first`` and ``second`` name the models."""
        if self.difference == 0:
            return f"{first} and {second} have equally many right answers."
        ahead, behind = (first, second) if self.difference > 0 else (second, first)
        lead = f"{ahead} is {formats.percent(abs(self.difference))} pp better than {behind}"
        if self.p is not None:
            p = formats.p_value(self.p)
        elif self.p_at_most:
            p = f"p ≤ {self.p_at_most:g}"
        else:
            p = f"p > {P_BOUNDS[-1]:g}"
        if self.is_significant:
            return f"{lead}, more than chance explains ({p})."
        return f"{lead}, which chance can explain ({p})."


class DifficultyComparison(Wire, frozen=True, kw_only=True):
    """Comparison on a third of the public items: hard, middling or easy.

    ``low`` and ``high`` bound the share of other models that had such an item right.
    """

    name: str
    low: float
    high: float
    result: SetComparison


class GapChange(Wire, frozen=True, kw_only=True):
    """Gap of the first model less that of the second, with its 95% interval; fractions."""

    difference: float
    interval: tuple[float, float]

    def conclusion(self, first: str, second: str) -> str:
        """Return the result in a sentence; ``first`` and ``second`` name the models."""
        if self.difference == 0:
            return f"{first} and {second} have equal gaps."
        larger, smaller = (first, second) if self.difference > 0 else (second, first)
        difference = formats.percent(abs(self.difference))
        lead = f"The gap of {larger} is {difference} pp above that of {smaller}"
        sign = copysign(1, self.difference)
        low, high = sorted(sign * end for end in self.interval)
        span = formats.span((low, high))
        if low > 0:
            return f"{lead}, more than chance explains (95% {span})."
        return f"{lead}, which chance can explain (95% {span})."


@dataclass(frozen=True)
class Comparison:
    """Two ranked models side by side; ``private`` is None for the reason ``not_compared``.

    ``gap`` is None without it. ``difficulty`` is empty where too few other models are ranked.
    """

    first: Row
    second: Row
    public: SetComparison | None
    private: SetComparison | None
    not_compared: str = ""
    gap: GapChange | None = None
    difficulty: tuple[DifficultyComparison, ...] = ()

    @property
    def why_not(self) -> str:
        """Sentence on why the sealed set is not compared item by item; empty if it is."""
        return NOT_COMPARED.get(self.not_compared, "")

    def conclusions(self, *names: str) -> list[str]:
        """Return the conclusion on each set, on each group of items, and on the gaps, with these
        ``names`` of the models."""
        private = self.private.conclusion(*names) if self.private else self.why_not
        conclusions = [f"sealed set: {private}"]
        if self.public:
            conclusions.append(f"public set: {self.public.conclusion(*names)}")
        for group in self.difficulty:
            conclusions.append(f"{group.name} items: {group.result.conclusion(*names)}")
        if self.gap:
            conclusions.append(self.gap.conclusion(*names))
        return conclusions

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as JSON data."""
        sides = {"first": self.first, "second": self.second}
        rows = {
            name: {
                "model": row.model,
                "run": row.run,
                "rank_range": row.rank_range,
                "public": row.public.to_dict(),
                "private": row.private.to_dict(),
                "gap": row.gap,
                "evidence": row.evidence,
            }
            for name, row in sides.items()
        }
        return rows | {
            "public": self.public and self.public.to_dict(),
            "private": self.private and self.private.to_dict(),
            "not_compared": self.not_compared,
            "gap": self.gap and self.gap.to_dict(),
            "difficulty": [group.to_dict() for group in self.difficulty],
        }


def compare(snapshot: Snapshot, first: Row, second: Row) -> Comparison:
    """Compare two rows of a ranking on both sets, item by item where that is allowed."""
    runs = (UUID(first.run), UUID(second.run))
    # Difficulty is by other ranked models, evenly over the ranking where they are many.
    positions = evenly(range(snapshot.size), MOST_OTHERS + len(runs))
    ranked = [UUID(row.run) for row in snapshot.rows_at(positions)]
    other_runs = [run for run in ranked if run not in runs][:MOST_OTHERS]
    outcomes = item_outcomes(snapshot.pair, [*runs, *other_runs])
    if not all(run in outcomes for run in runs):
        return Comparison(first, second, None, None, "outdated")
    of_first, of_second = (outcomes.pop(run) for run in runs)

    public_answers = (values(of_first.public), values(of_second.public))
    public = SetComparison.exact(paired(*public_answers))
    others = np.array([values(other.public) for other in outcomes.values()])
    difficulty = tuple(
        DifficultyComparison(
            name=group.name,
            low=group.low,
            high=group.high,
            result=SetComparison.exact(group.result),
        )
        for group in by_difficulty(*public_answers, others)
    )

    reason = _reason_against(first, second, [of_first.private, of_second.private])
    if reason:
        return Comparison(first, second, public, None, reason, difficulty=difficulty)
    private_answers = (values(of_first.private), values(of_second.private))
    private = SetComparison.coarse(paired(*private_answers))
    # From both comparisons as they are published, so that the change discloses nothing more.
    low, high = gap_change(
        public.difference,
        public.interval,
        private.difference,
        private.interval,
    )
    gap = GapChange(
        difference=public.difference - private.difference,
        interval=(low, high),
    )
    return Comparison(first, second, public, private, gap=gap, difficulty=difficulty)


def _reason_against(first: Row, second: Row, private: list[bytes]) -> str:
    """Return the code of :data:`NOT_COMPARED` that forbids the comparison; empty for none."""
    for row in (first, second):
        if row.tier != "T0" or row.access != "weights":
            return "endpoint"
    asked = [bytes(map(bool, outcomes)) for outcomes in private]
    if asked[0] != asked[1]:
        return "other_items"
    counted = sum(asked[0])
    if first.private.n != counted or second.private.n != counted:
        return "outdated"
    return ""


def _bound_of(p: float) -> float | None:
    """Return the smallest published bound of a p-value; None for a larger one."""
    for bound in P_BOUNDS:
        if p <= bound:
            return bound
    return None
