"""Likelihood against gap: how strong the association is, how fragile, and what is left beside size and score.

Annotations only: nothing here decides a word.
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


class Association(NamedTuple):
    """A rank correlation over ``n`` models, its interval and its two-sided p; NaN where one side is constant."""

    estimate: float
    interval: Interval
    p: float
    n: int


class Contrast(NamedTuple):
    """A difference of two means, Welch's standard error and degrees of freedom."""

    difference: float
    se: float
    freedom: float


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if first.ndim != 1 or first.shape != second.shape or len(first) < 4:
        raise ValueError("a correlation needs two lists of one length, of four models or more")
    return first, second


def fisher_z(rho: float, n: int, level: float = LEVEL, *, given: int = 0) -> Interval:
    """An interval for Spearman's ρ: ``tanh(atanh ρ ± z √((1 + ρ²/2)/(n - given - 3)))``.

    D. G. Bonett & T. A. Wright, Psychometrika 65 (2000) 23; ``given`` is how many variables were held fixed.
    """
    if n - given <= 3 or not abs(rho) < 1:
        return Interval(-1.0, 1.0) if abs(rho) < 1 else Interval(rho, rho)
    reach = critical_value(level) * sqrt((1 + rho * rho / 2) / (n - given - 3))
    return Interval(tanh(atanh(rho) - reach), tanh(atanh(rho) + reach))


def spearman(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Association:
    """Spearman's ρ with the interval of :func:`fisher_z` and the t test's p (C. Spearman, 1904).

    Raises ``ValueError`` unless both lists have one length of at least four.
    """
    first, second = _pair(x, y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return _none(len(first))
    found = spearmanr(first, second)
    rho = float(found.statistic)
    return Association(rho, fisher_z(rho, len(first), level), float(found.pvalue), len(first))


def kendall(x: ArrayLike, y: ArrayLike, level: float = LEVEL) -> Association:
    """Kendall's τ_b, with the interval of E. C. Fieller, H. O. Hartley & E. S. Pearson, Biometrika 44 (1957) 470.

    ``tanh(atanh τ ± z √(.437/(n - 4)))``. Raises ``ValueError`` as :func:`spearman` does.
    """
    first, second = _pair(x, y)
    n = len(first)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return _none(n)
    found = kendalltau(first, second)
    tau = float(found.statistic)
    if n <= 4 or abs(tau) >= 1:
        interval = Interval(-1.0, 1.0) if abs(tau) < 1 else Interval(tau, tau)
    else:
        reach = critical_value(level) * sqrt(0.437 / (n - 4))
        interval = Interval(tanh(atanh(tau) - reach), tanh(atanh(tau) + reach))
    return Association(tau, interval, float(found.pvalue), n)


def partial_spearman(
    x: ArrayLike, y: ArrayLike, given: Sequence[ArrayLike], level: float = LEVEL
) -> Association:
    """Spearman's ρ of what the ranks of ``given`` (log size, private score) do not explain.

    Pearson's correlation of the residuals of both rank lists; t on n - 2 - g degrees of freedom.
    Raises ``ValueError`` as :func:`spearman` does, and if too few models are left.
    """
    first, second = _pair(x, y)
    n, held = len(first), len(given)
    if n - held < 4:
        raise ValueError("a partial correlation needs four models more than variables held fixed")
    design = np.column_stack(
        [np.ones(n), *(rankdata(np.asarray(one, dtype=float)) for one in given)]
    )
    left = []
    for side in (first, second):
        ranks = rankdata(side)
        fit, *_ = np.linalg.lstsq(design, ranks, rcond=None)
        left.append(ranks - design @ fit)
    norm = float(np.linalg.norm(left[0]) * np.linalg.norm(left[1]))
    if norm < 1e-9:
        return _none(n)
    rho = max(-1.0, min(1.0, float(left[0] @ left[1]) / norm))
    freedom = n - 2 - held
    t = rho * sqrt(freedom / (1 - rho * rho)) if abs(rho) < 1 else float("inf")
    return Association(
        rho, fisher_z(rho, n, level, given=held), float(2 * student.sf(abs(t), freedom)), n
    )


def bca_over_families(
    x: ArrayLike,
    y: ArrayLike,
    families: Sequence[object],
    rng: np.random.Generator,
    level: float = LEVEL,
    *,
    draws: int = DRAWS,
) -> Interval:
    """An interval for Spearman's ρ that draws whole families: models of one family are not independent.

    Bias-corrected and accelerated, with the acceleration from leaving out one family at a time: B. Efron, JASA 82
    (1987) 171. Raises ``ValueError`` as :func:`spearman` does, for labels that do not fit and for fewer than three
    families.
    """
    first, second = _pair(x, y)
    members: dict[object, list[int]] = {}
    for place, family in enumerate(families):
        members.setdefault(family, []).append(place)
    groups = [np.array(places) for places in members.values()]
    if len(families) != len(first) or len(groups) < 3:
        raise ValueError(
            "a bootstrap over families needs a family for each model, and three families or more"
        )
    estimate = _rho(first, second)
    drawn = [
        np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])
        for _ in range(draws)
    ]
    values = np.array([_rho(first[places], second[places]) for places in drawn])
    values = np.sort(values[np.isfinite(values)])
    left = np.array([_rho(np.delete(first, group), np.delete(second, group)) for group in groups])
    off = np.nanmean(left) - left
    scale = float(np.nansum(off**2)) ** 1.5
    acceleration = float(np.nansum(off**3)) / (6 * scale) if scale > 0 else 0.0
    below = (np.sum(values < estimate) + np.sum(values == estimate) / 2) / len(values)
    bias = float(ndtri(np.clip(below, 1 / len(values), 1 - 1 / len(values))))
    z = critical_value(level)
    shifted = [bias + (bias + side) / (1 - acceleration * (bias + side)) for side in (-z, z)]
    low, high = np.quantile(values, ndtr(np.array(shifted)))
    return Interval(float(low), float(high))


def likelihood_contrast(public: ArrayLike, private: ArrayLike) -> Contrast:
    """Mean log-likelihood per character of the public items less that of the private ones, for one model.

    One number per item; B. L. Welch, Biometrika 34 (1947) 28. A better language model raises both sides, so this does
    not confuse quality with memory; compare it with other models' (``calibrate``) before it means anything.
    Raises ``ValueError`` for fewer than two items on a side.
    """
    sides = [np.asarray(side, dtype=float) for side in (public, private)]
    if any(len(side) < 2 for side in sides):
        raise ValueError("a contrast needs two items on either side")
    parts = [float(side.var(ddof=1)) / len(side) for side in sides]
    total = sum(parts)
    freedom = total**2 / sum(
        part**2 / (len(side) - 1) for part, side in zip(parts, sides, strict=True) if part
    )
    return Contrast(float(sides[0].mean() - sides[1].mean()), sqrt(total), freedom)


def min_k(logprobs: ArrayLike, share: float) -> float:
    """The mean of the lowest ``⌊share · length⌋`` token log-probabilities, at least one: Min-K%.

    W. Shi et al. (2024), arXiv 2310.16789. Raises ``ValueError`` without tokens or unless 0 < share <= 1.
    """
    values = np.sort(np.asarray(logprobs, dtype=float))
    if values.ndim != 1 or not len(values) or not 0 < share <= 1:
        raise ValueError("Min-K% needs tokens and a share between 0 and 1")
    # 1e-9: .2 · 5 must count one token also where it is a hair below 1.
    count = max(1, int(share * len(values) + 1e-9))
    return float(values[:count].mean())


def _rho(x: Floats, y: Floats) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _none(n: int) -> Association:
    nan = float("nan")
    return Association(nan, Interval(-1.0, 1.0), nan, n)
