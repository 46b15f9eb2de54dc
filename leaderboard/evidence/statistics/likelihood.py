"""Association of likelihood and gap: rank correlations, their intervals, and partial correlations.

They annotate a board; no evidence level depends on them.
"""

from collections.abc import Sequence
from math import atanh, sqrt, tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import kendalltau, rankdata, spearmanr
from scipy.stats import t as student

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value

Floats = NDArray[np.float64]
DRAWS = 2000
NAN = float("nan")


class Association(NamedTuple):
    """Rank correlation over ``n`` models, its interval and two-sided p; NaN for a constant side."""

    estimate: float
    interval: Interval
    p: float
    n: int


def spearman(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Association:
    """Return Spearman's ρ with the interval of :func:`fisher_z` and the t test's p.

    Raises ValueError unless both lists have one length of at least four.
    """
    first, second = _same_length(x, y)
    n = len(first)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return _undefined(n)
    test = spearmanr(first, second)
    rho = float(test.statistic)
    return Association(
        estimate=rho,
        interval=fisher_z(rho, n, level),
        p=float(test.pvalue),
        n=n,
    )


def kendall(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Association:
    """Return Kendall's τ_b with the interval ``tanh(atanh τ ± z √(.437/(n - 4)))``.

    E. C. Fieller, H. O. Hartley & E. S. Pearson, Biometrika 44 (1957) 470. Raises ValueError as
    :func:`spearman` does.
    """
    first, second = _same_length(x, y)
    n = len(first)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return _undefined(n)
    test = kendalltau(first, second)
    tau = float(test.statistic)
    if abs(tau) >= 1:
        interval = Interval(tau, tau)
    elif n <= 4:
        interval = Interval(-1.0, 1.0)
    else:
        se = sqrt(0.437 / (n - 4))
        interval = _around(tau, critical_value(level) * se)
    return Association(
        estimate=tau,
        interval=interval,
        p=float(test.pvalue),
        n=n,
    )


def partial_spearman(
    x: ArrayLike,
    y: ArrayLike,
    given: Sequence[ArrayLike],
    level: float = LEVEL,
) -> Association:
    """Return Spearman's ρ with the variables ``given`` (log size, private score) held fixed.

    Pearson's correlation of the residuals of both rank lists; t on n - 2 - g degrees of freedom.
    Raises ValueError as :func:`spearman` does, and if too few models are left.
    """
    first, second = _same_length(x, y)
    n = len(first)
    held = len(given)
    if n - held < 4:
        raise ValueError("a partial correlation needs four models more than variables held fixed")
    held_values = [np.asarray(variable, dtype=float) for variable in given]
    held_ranks = [rankdata(values) for values in held_values]
    design = np.column_stack([np.ones(n), *held_ranks])
    residuals = []
    for side in (first, second):
        ranks = rankdata(side)
        fit, *_ = np.linalg.lstsq(design, ranks, rcond=None)
        residuals.append(ranks - design @ fit)
    of_first, of_second = residuals
    first_norm = np.linalg.norm(of_first)
    second_norm = np.linalg.norm(of_second)
    norm = float(first_norm * second_norm)
    if norm < 1e-9:
        return _undefined(n)
    correlation = float(of_first @ of_second) / norm
    rho = max(-1.0, min(1.0, correlation))
    freedom = n - 2 - held
    t = float("inf")
    if abs(rho) < 1:
        t = rho * sqrt(freedom / (1 - rho * rho))
    return Association(
        estimate=rho,
        interval=fisher_z(rho, n, level, given=held),
        p=float(2 * student.sf(abs(t), freedom)),
        n=n,
    )


def fisher_z(
    rho: float,
    n: int,
    level: float = LEVEL,
    *,
    given: int = 0,
) -> Interval:
    """Return an interval for Spearman's ρ: ``tanh(atanh ρ ± z √((1 + ρ²/2)/(n - given - 3)))``.

    D. G. Bonett & T. A. Wright, Psychometrika 65 (2000) 23; ``given`` is the number of variables
    held fixed.
    """
    if not abs(rho) < 1:
        return Interval(rho, rho)
    if n - given <= 3:
        return Interval(-1.0, 1.0)
    variance = (1 + rho * rho / 2) / (n - given - 3)
    reach = critical_value(level) * sqrt(variance)
    return _around(rho, reach)


def bca_over_families(
    x: ArrayLike,
    y: ArrayLike,
    families: Sequence[object],
    rng: np.random.Generator,
    level: float = LEVEL,
    *,
    draws: int = DRAWS,
) -> Interval:
    """Return an interval for Spearman's ρ from a bootstrap that draws whole families.

    Models of one family are not independent. Bias-corrected and accelerated, with the acceleration
    from leaving out one family at a time: B. Efron, JASA 82 (1987) 171.

    Raises ValueError as :func:`spearman` does, for labels that do not fit and for fewer than three
    families.
    """
    first, second = _same_length(x, y)
    members: dict[object, list[int]] = {}
    for place, family in enumerate(families):
        members.setdefault(family, []).append(place)
    groups = [np.array(places) for places in members.values()]
    if len(families) != len(first) or len(groups) < 3:
        raise ValueError(
            "a bootstrap over families needs a family for each model, and three families or more"
        )
    estimate = _rho(first, second)
    drawn = np.empty(draws)
    for number in range(draws):
        chosen = rng.integers(0, len(groups), len(groups))
        places = np.concatenate([groups[group] for group in chosen])
        drawn[number] = _rho(first[places], second[places])
    is_defined = np.isfinite(drawn)
    drawn = np.sort(drawn[is_defined])
    left_out: list[float] = []
    for group in groups:
        other_first = np.delete(first, group)
        other_second = np.delete(second, group)
        left_out.append(_rho(other_first, other_second))
    deviations = np.nanmean(left_out) - np.array(left_out)
    squares = float(np.nansum(deviations**2))
    cubes = float(np.nansum(deviations**3))
    scale = squares**1.5
    acceleration = 0.0
    if scale > 0:
        acceleration = cubes / (6 * scale)
    less = np.sum(drawn < estimate)
    equal = np.sum(drawn == estimate)
    below = (less + equal / 2) / len(drawn)
    # The share of a single draw keeps the bias finite.
    smallest = 1 / len(drawn)
    share_below = np.clip(below, smallest, 1 - smallest)
    bias = float(ndtri(share_below))
    z = critical_value(level)
    ends: list[float] = []
    for side in (-z, z):
        shift = bias + side
        ends.append(bias + shift / (1 - acceleration * shift))
    low, high = np.quantile(drawn, ndtr(np.array(ends)))
    return Interval(float(low), float(high))


def _same_length(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    first = np.asarray(x, dtype=float)
    second = np.asarray(y, dtype=float)
    is_pair_of_lists = first.ndim == 1 and first.shape == second.shape
    if not is_pair_of_lists or len(first) < 4:
        raise ValueError("a correlation needs two lists of one length, of four models or more")
    return first, second


def _around(correlation: float, reach: float) -> Interval:
    """Return an interval of so much reach on Fisher's z scale."""
    z = atanh(correlation)
    return Interval(tanh(z - reach), tanh(z + reach))


def _rho(x: Floats, y: Floats) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return NAN
    correlations = np.corrcoef(rankdata(x), rankdata(y))
    return float(correlations[0, 1])


def _undefined(n: int) -> Association:
    return Association(
        estimate=NAN,
        interval=Interval(-1.0, 1.0),
        p=NAN,
        n=n,
    )
