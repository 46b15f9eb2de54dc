"""Competition ranks with the range of ranks that overlapping intervals allow."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from leaderboard.evidence.statistics.intervals import Interval


class Standing(NamedTuple):
    """Competition rank (ties share the better one), with the best and the worst possible rank."""

    rank: int
    best: int
    worst: int


def standings(scores: Sequence[float], intervals: Sequence[Interval]) -> list[Standing]:
    """Return the standing of each score, in the order given; the highest score ranks 1.

    ``best`` is 1 + the number of intervals wholly above this one. ``worst`` is the number of models
    less those wholly below. This is the rule of FastChat's ``recompute_final_ranking`` and its
    mirror image. Overlap of two marginal intervals is cautious for one pair and claims nothing for
    all pairs at once.

    Raises ValueError if the two sequences differ in length.
    """
    if len(scores) != len(intervals):
        raise ValueError("each score needs one interval")
    ascending = sorted(scores)
    lows = sorted(interval.low for interval in intervals)
    highs = sorted(interval.high for interval in intervals)
    total = len(scores)
    result: list[Standing] = []
    for score, interval in zip(scores, intervals, strict=True):
        not_better = bisect_right(ascending, score)
        not_above = bisect_right(lows, interval.high)
        below = bisect_left(highs, interval.low)
        standing = Standing(
            rank=1 + total - not_better,
            best=1 + total - not_above,
            worst=total - below,
        )
        result.append(standing)
    return result
