"""Rank ranges that hold for all models of a board at once.

M. Mogstad, J. P. Romano, A. M. Shaikh & D. Wilhelm, Rev. Econ. Stud. 91 (2024) 476: test "j is no better than k" for
every ordered pair and bound each rank by the pairs that are told apart. The largest statistic's distribution comes from
a Gaussian multiplier bootstrap of the items, and rejected pairs leave the family step by step (J. P. Romano & M. Wolf,
JASA 100 (2005) 94). Pairs are compared on the items both answered, and studentised by the null's own error,
``√discordant`` (McNemar's): with few discordant items the plain error would be too small.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.evidence.statistics.intervals import LEVEL, critical_value
from leaderboard.evidence.statistics.pairwise import discordances, pairwise_sets

Floats = NDArray[np.float64]
EXACT_UP_TO = 300
"""All pairs of more models cost too much in each draw; beyond, each model is compared with every other by itself."""
DRAWS = 2000


class RankSet(NamedTuple):
    """The ranks a model may have, best first: 1 <= low <= high <= models. Equal ``low`` is a band of ties."""

    low: int
    high: int


class _Draws(NamedTuple):
    """What the bootstrap needs of the items: sums by pattern of who answered."""

    sums: Floats
    """(draws, models, patterns): multipliers times outcomes."""
    weights: Floats
    """(draws, patterns): multipliers alone."""
    present: Floats
    """(patterns, models): who answered the items of each pattern."""


def rank_sets(
    outcomes: ArrayLike,
    level: float = LEVEL,
    rng: np.random.Generator | int | None = None,
    draws: int = DRAWS,
) -> list[RankSet]:
    """The (low, high) ranks of each model, from ``outcomes`` (models, items) of 0, 1 or missing (NaN).

    Up to 300 models the sets are simultaneous: all of them hold at once with probability ``level``. Beyond, they are
    marginal: each model's pairs are tested by McNemar's z and adjusted by Holm within its row. ``rng`` is a generator
    or its seed, 0 if left out; only up to 300 models need it.
    Raises ``ValueError`` for other values than 0, 1 and NaN, or a level outside 0 to 1.
    """
    matrix = check_outcomes(outcomes)
    critical_value(level)
    if len(matrix) > EXACT_UP_TO:
        return [RankSet(int(low), int(high)) for low, high in pairwise_sets(matrix, level)]
    generator = np.random.default_rng(0 if rng is None else rng)
    better = told_apart(matrix, level, generator, draws)
    return sets_from(better)


def marginal_rank_set(
    outcomes: ArrayLike,
    model: int,
    level: float = LEVEL,
    rng: np.random.Generator | int | None = None,
    draws: int = DRAWS,
) -> RankSet:
    """The ranks of one model chosen beforehand, by the same test over its own pairs only: it lies within its
    simultaneous set for the same draws. Raises ``ValueError`` as :func:`rank_sets` does, and for a model not there.
    """
    matrix = check_outcomes(outcomes)
    critical_value(level)
    if not 0 <= model < len(matrix):
        raise ValueError("the model is not among the outcomes")
    generator = np.random.default_rng(0 if rng is None else rng)
    family = np.zeros((len(matrix), len(matrix)), dtype=bool)
    family[model, :] = family[:, model] = True
    return sets_from(told_apart(matrix, level, generator, draws, family))[model]


def sets_from(better: NDArray[np.bool_]) -> list[RankSet]:
    """From which model is significantly better than which, (models, models), to each one's ranks."""
    above, below = better.sum(axis=0), better.sum(axis=1)
    return [
        RankSet(1 + int(up), len(better) - int(down)) for up, down in zip(above, below, strict=True)
    ]


def check_outcomes(outcomes: ArrayLike) -> Floats:
    """The outcomes as numbers. Raises ``ValueError`` unless they are a matrix of 0, 1 and NaN."""
    matrix = np.asarray(outcomes, dtype=float)
    if matrix.ndim != 2 or not np.all((matrix == 0) | (matrix == 1) | np.isnan(matrix)):
        raise ValueError("outcomes are models by items of 0, 1 or missing")
    return matrix


def told_apart(
    matrix: Floats,
    level: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
    family: NDArray[np.bool_] | None = None,
    *,
    stepdown: bool = True,
) -> NDArray[np.bool_]:
    """``[j, k]``: whether j is significantly better than k, all together at ``level``, within ``family`` of pairs.

    Memory grows with models × draws and models², never with models² × draws.
    """
    p = len(matrix)
    active = ~np.eye(p, dtype=bool) if family is None else family & ~np.eye(p, dtype=bool)
    rejected = np.zeros((p, p), dtype=bool)
    wins, common = discordances(matrix)
    apart = wins + wins.T
    with np.errstate(divide="ignore"):
        inverse = np.where(apart > 0, 1 / np.sqrt(apart), 0.0)
    statistic = (wins - wins.T) * inverse
    means = np.where(common > 0, (wins - wins.T) / np.maximum(common, 1), 0.0)
    sampled = _draw(matrix, rng, draws)
    while np.any(active):
        largest = _largest(sampled, means, np.where(active, inverse, 0.0))
        new = active & (statistic > _quantile(largest, level))
        if not np.any(new):
            break
        rejected |= new
        active &= ~new
        if not stepdown:
            break
    return rejected


def _quantile(largest: Floats, level: float) -> float:
    """The bootstrap's critical value, rounded up to a drawn one; never below 0."""
    place = min(int(np.ceil(level * (len(largest) + 1))), len(largest)) - 1
    return max(float(np.partition(largest, place)[place]), 0.0)


def _draw(matrix: Floats, rng: np.random.Generator, draws: int) -> _Draws:
    """Standard normal multipliers, one for each item and draw, summed over the items of each pattern of presence."""
    seen = np.isfinite(matrix)
    patterns, place = np.unique(seen, axis=1, return_inverse=True)
    members = np.zeros((matrix.shape[1], patterns.shape[1]))
    members[np.arange(matrix.shape[1]), place.ravel()] = 1.0
    right = np.where(seen, matrix, 0.0)
    multipliers = rng.standard_normal((draws, matrix.shape[1]))
    sums = np.stack([multipliers[:, one == 1] @ right[:, one == 1].T for one in members.T], axis=2)
    return _Draws(sums, multipliers @ members, patterns.T.astype(float))


def _largest(sampled: _Draws, means: Floats, inverse: Floats) -> Floats:
    """The largest studentised difference of each draw over the pairs whose ``inverse`` error is not 0, (draws,)."""
    found = np.empty(len(sampled.sums))
    complete = len(sampled.present) == 1 and bool(np.all(sampled.present == 1))
    for number, (sums, weights) in enumerate(zip(sampled.sums, sampled.weights, strict=True)):
        if complete:
            # Σ ε (x_j - x_k - d_jk) splits into one term for each model.
            own = sums[:, 0]
            centred = own - weights[0] * (means[:, 0] if len(means) else 0.0)
            difference = centred[:, None] - centred[None, :]
        else:
            on_common = sums @ sampled.present
            shared = sampled.present.T @ (weights[:, None] * sampled.present)
            difference = on_common - on_common.T - shared * means
        difference *= inverse
        found[number] = difference.max()
    return found
