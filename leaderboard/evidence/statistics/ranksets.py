"""Rank ranges that hold for all models of a board at once.

M. Mogstad, J. P. Romano, A. M. Shaikh & D. Wilhelm, Rev. Econ. Stud. 91 (2024) 476:

- test "j is no better than k" for every ordered pair, and bound each rank by the pairs that differ;
- draw the largest statistic's distribution by a Gaussian multiplier bootstrap of the items;
- remove rejected pairs from the family step by step (J. P. Romano & M. Wolf, JASA 100 (2005) 94).

Pairs are compared on the items both answered. They are studentised by the null's own error,
``√discordant`` (McNemar's): with few discordant items the plain error would be too small.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leaderboard.evidence.statistics.intervals import LEVEL, critical_value
from leaderboard.evidence.statistics.pairwise import discordances, pairwise_sets

Floats = NDArray[np.float64]
EXACT_UP_TO = 300
"""Number of models above which all pairs in each draw cost too much: ranges are then marginal."""
DRAWS = 2000


class RankSet(NamedTuple):
    """Ranks a model may have: 1 <= low <= high <= models. Equal ``low`` is a band of ties."""

    low: int
    high: int


class _Draws(NamedTuple):
    """Draws of the bootstrap, summed over the items of each pattern of models that answered."""

    sums: Floats
    """(draws, models, patterns): multipliers times outcomes."""
    weights: Floats
    """(draws, patterns): multipliers alone."""
    present: Floats
    """(patterns, models): 1 for models that answered the items of the pattern."""


def rank_sets(
    outcomes: ArrayLike,
    level: float = LEVEL,
    rng: np.random.Generator | int | None = None,
    draws: int = DRAWS,
) -> list[RankSet]:
    """Return the (low, high) ranks of each model, from ``outcomes`` (models, items).

    Outcomes are 0, 1, a share between or missing (NaN). Up to 300 models the sets are simultaneous:
    all of them hold at once with probability ``level``. Beyond, they are marginal: each model's
    pairs are tested by McNemar's z and adjusted by Holm within its row. ``rng`` is a generator or
    its seed, 0 if left out; only up to 300 models need it.

    Raises ValueError for other outcomes and for a level outside 0 to 1.
    """
    matrix = check_outcomes(outcomes)
    critical_value(level)
    if len(matrix) > EXACT_UP_TO:
        ranges = pairwise_sets(matrix, level)
        return [RankSet(int(low), int(high)) for low, high in ranges]
    generator = np.random.default_rng(0 if rng is None else rng)
    better = significantly_better(matrix, level, generator, draws)
    return sets_from(better)


def sets_from(better: NDArray[np.bool_]) -> list[RankSet]:
    """Return each model's ranks, from ``better[j, k]``: j is significantly better than k."""
    above = better.sum(axis=0).tolist()
    below = better.sum(axis=1).tolist()
    models = len(better)
    sets: list[RankSet] = []
    for models_above, models_below in zip(above, below, strict=True):
        low = 1 + models_above
        high = models - models_below
        sets.append(RankSet(low, high))
    return sets


def check_outcomes(outcomes: ArrayLike) -> Floats:
    """Return outcomes as numbers. Raises ValueError unless they are a matrix of 0 to 1 and NaN."""
    matrix = np.asarray(outcomes, dtype=float)
    is_share = (matrix >= 0) & (matrix <= 1)
    is_outcome = is_share | np.isnan(matrix)
    if matrix.ndim != 2 or not np.all(is_outcome):
        raise ValueError("outcomes are models by items, from 0 to 1 or missing")
    return matrix


def significantly_better(
    matrix: Floats,
    level: float,
    rng: np.random.Generator,
    draws: int = DRAWS,
    *,
    stepdown: bool = True,
) -> NDArray[np.bool_]:
    """Return ``[j, k]``: True if j is significantly better than k; all at once at ``level``.

    Memory grows with models × draws and models², never with models² × draws.
    """
    models = len(matrix)
    active = ~np.eye(models, dtype=bool)
    rejected = np.zeros((models, models), dtype=bool)
    wins, common = discordances(matrix)
    discordant = wins + wins.T
    with np.errstate(divide="ignore"):
        inverse_root = 1 / np.sqrt(discordant)
    inverse_error = np.where(discordant > 0, inverse_root, 0.0)
    difference = wins - wins.T
    statistic = difference * inverse_error
    quotient = difference / np.maximum(common, 1)
    means = np.where(common > 0, quotient, 0.0)
    sampled = _draw(matrix, rng, draws)
    # The critical value is rounded up to a drawn one.
    rank = int(np.ceil(level * (draws + 1)))
    place = min(rank, draws) - 1
    while np.any(active):
        active_errors = np.where(active, inverse_error, 0.0)
        largest = _largest_statistics(sampled, means, active_errors)
        drawn = float(np.partition(largest, place)[place])
        critical = max(drawn, 0.0)
        new = active & (statistic > critical)
        if not np.any(new):
            break
        rejected |= new
        active &= ~new
        if not stepdown:
            break
    return rejected


def _draw(matrix: Floats, rng: np.random.Generator, draws: int) -> _Draws:
    """Draw standard normal multipliers for each item, and sum them by pattern."""
    models, items = matrix.shape
    answered = np.isfinite(matrix)
    patterns, pattern_of = np.unique(answered, axis=1, return_inverse=True)
    count = patterns.shape[1]
    members = np.zeros((items, count))
    members[np.arange(items), pattern_of.ravel()] = 1.0
    right = np.where(answered, matrix, 0.0)
    multipliers = rng.standard_normal((draws, items))
    sums = np.empty((draws, models, count))
    for pattern in range(count):
        chosen = members[:, pattern] == 1
        outcomes = right[:, chosen]
        sums[:, :, pattern] = multipliers[:, chosen] @ outcomes.T
    return _Draws(
        sums=sums,
        weights=multipliers @ members,
        present=patterns.T.astype(float),
    )


def _largest_statistics(sampled: _Draws, means: Floats, inverse_error: Floats) -> Floats:
    """Return the largest studentised difference of each draw, (draws,).

    Pairs whose ``inverse_error`` is 0 do not count.
    """
    result = np.empty(len(sampled.sums))
    present = sampled.present
    complete = len(present) == 1 and bool(np.all(present == 1))
    own_means = means[:, 0] if len(means) else 0.0
    for number, sums in enumerate(sampled.sums):
        weights = sampled.weights[number]
        if complete:
            # Σ ε (x_j - x_k - d_jk) is the difference of one term for each model.
            centred = sums[:, 0] - weights[0] * own_means
            difference = centred[:, None] - centred[None, :]
        else:
            on_common = sums @ present
            weighted = weights[:, None] * present
            shared = present.T @ weighted
            difference = on_common - on_common.T - shared * means
        difference *= inverse_error
        result[number] = difference.max()
    return result
