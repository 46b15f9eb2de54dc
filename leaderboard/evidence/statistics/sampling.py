"""Unbiased estimates of the score of k samples per item, never a plug-in of c/n.

Each function takes one item's samples and returns a number between 0 and 1; the mean over items is
the score.
"""

from collections.abc import Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from leaderboard.evidence.statistics.intervals import Interval, accuracy_interval


class SampledScore(NamedTuple):
    """Mean over items, with its standard error over items."""

    mean: float
    se: float


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the chance that one or more of ``k`` samples are right, from ``c`` right among ``n``.

    ``1 - C(n-c, k)/C(n, k)``, in integers: M. Chen et al. (2021), arXiv 2107.03374, equation 1.
    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    _check(n, c, k)
    return 1 - comb(n - c, k) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Return the chance that all ``k`` samples are right, pass^k: ``C(c, k)/C(n, k)``.

    S. Yao et al. (2024), arXiv 2406.12045. Raises ValueError as :func:`pass_at_k` does.
    """
    _check(n, c, k)
    return comb(c, k) / comb(n, k)


def maj_at_k(counts: Sequence[int], right: int | None, k: int) -> float:
    """Return the chance that the most frequent of ``k`` sampled answers is right.

    Ties go to each with equal chance. ``counts[j]`` is the frequency of answer j among n samples;
    ``right`` is the place of the right one, or None if it was never given. The exact mean over all
    C(n, k) choices of k samples without replacement, a U-statistic. Sums over the right answer's
    votes and the others' caps, in O(answers · k³).

    Raises ValueError for negative counts, a place outside them, or k outside 1 to n.
    """
    n = sum(counts)
    has_negative = any(count < 0 for count in counts)
    if has_negative or not 1 <= k <= n:
        raise ValueError("majority needs counts >= 0 and 1 <= k <= n")
    if right is None:
        return 0.0
    if not 0 <= right < len(counts):
        raise ValueError("the right answer is one of the counted ones")
    # An answer that was never given cannot tie.
    others: list[int] = []
    for place, count in enumerate(counts):
        if place != right and count > 0:
            others.append(count)
    right_count = counts[right]
    won = 0.0
    for votes in range(1, min(right_count, k) + 1):
        ways = _ways_by_ties(others, k - votes, votes)
        shares = [way / (tied + 1) for tied, way in enumerate(ways)]
        won += comb(right_count, votes) * sum(shares)
    return won / comb(n, k)


def _ways_by_ties(others: Sequence[int], votes: int, cap: int) -> list[int]:
    """Count the ways to give the others ``votes`` in all, none above ``cap``, by answers at it."""
    ways = {(0, 0): 1}
    for count in others:
        with_count: dict[tuple[int, int], int] = {}
        for (used, tied), way in ways.items():
            most_extra = min(count, cap, votes - used)
            for extra in range(most_extra + 1):
                is_tied = extra == cap
                key = (used + extra, tied + is_tied)
                added = way * comb(count, extra)
                with_count[key] = with_count.get(key, 0) + added
        ways = with_count
    ties = [tied for used, tied in ways if used == votes]
    most_tied = max(ties, default=-1)
    return [ways.get((votes, tied), 0) for tied in range(most_tied + 1)]


def best_of_n(scores: Sequence[float], right: Sequence[bool | int], k: int) -> float:
    """Return the chance that the best-scored of ``k`` samples is right, from ``n`` scored samples.

    Sorted by score, the r-th is the best of k in ``C(n-r, k-1)/C(n, k)`` of the choices. Samples
    with equal scores share theirs. Raises ValueError unless the lengths agree and 1 <= k <= n.
    """
    n = len(scores)
    if len(right) != n or not 1 <= k <= n:
        raise ValueError("best of n needs one verdict per score and 1 <= k <= n")
    order = sorted(range(n), key=lambda place: -scores[place])
    choices = comb(n, k)
    chances: list[float] = []
    for rank in range(1, n + 1):
        with_lower = comb(n - rank, k - 1)
        chances.append(with_lower / choices)
    total = 0.0
    start = 0
    while start < n:
        score = scores[order[start]]
        end = start
        while end < n and scores[order[end]] == score:
            end += 1
        tied = order[start:end]
        tied_right = sum(bool(right[place]) for place in tied)
        share = tied_right / len(tied)
        total += share * sum(chances[start:end])
        start = end
    return total


def over_items(values: Sequence[float]) -> SampledScore:
    """Return the mean of one number per item and its standard error, ``s/√n``.

    Raises ValueError for fewer than two items.
    """
    if len(values) < 2:
        raise ValueError("a standard error needs two items")
    array = np.asarray(values, dtype=float)
    se = array.std(ddof=1) / np.sqrt(len(array))
    return SampledScore(float(array.mean()), float(se))


def effective_items(
    p: float,
    se: float,
    *,
    items: int,
    samples: int,
) -> float:
    """Return the number of items with one outcome each whose share ``p`` would have this error.

    It lies between ``items`` and the number of their samples (L. Kish, Survey Sampling (1965),
    section 8.2).
    """
    if se <= 0:
        return float(items)
    with_this_error = p * (1 - p) / se**2
    least = float(items)
    most = float(items) * samples
    return min(max(with_this_error, least), most)


def clustered_interval(
    p: float,
    se: float,
    *,
    items: int,
    samples: int,
    level: float,
) -> Interval:
    """Return the interval of a share over items with several samples each, such as pass@k.

    ``se`` is its standard error with the samples of an item as a cluster. The interval is that of
    as many independent outcomes as would have this error, so it stays within 0 and 1.
    """
    n = effective_items(p, se, items=items, samples=samples)
    return accuracy_interval(p * n, n, level)


def _check(n: int, c: int, k: int) -> None:
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError("samples need 0 <= c <= n and 1 <= k <= n")
