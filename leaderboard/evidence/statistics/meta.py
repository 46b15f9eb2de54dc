"""Pooled estimates: spread between models, and the mean of a family whose errors are shared."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest
from scipy.stats import t as student

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value

Floats = NDArray[np.float64]
FEWEST_MEMBERS = 3
"""Number of members below which a family's spread cannot be estimated: only signs are counted."""

SMALLEST_RTOL = 4 * float(np.finfo(float).eps)
"""Smallest relative tolerance of the root finder, and its default."""


class Family(NamedTuple):
    """Mean gap of a family.

    - ``interval`` and ``prediction`` are None for fewer than three members;
    - ``i2`` is the share of the spread that sampling does not explain;
    - ``p_sign`` is the exact two-sided sign test over the members.
    """

    members: int
    estimate: float
    se: float
    interval: Interval | None
    prediction: Interval | None
    tau2: float
    i2: float
    p_sign: float


def paule_mandel(residuals: Floats, variance: Floats, design: Floats) -> float:
    """Return the τ² at which the weighted residual sum of squares equals its degrees of freedom.

    R. C. Paule & J. Mandel, J. Res. NBS 87 (1982) 377, with a regression (T. D. Stanley's
    meta-regression form): the coefficients are fitted again at each τ². ``residuals`` (m,) may be
    any outcome; ``design`` is (m, q) with m > q. 0 where sampling alone explains the spread.
    """
    freedom = len(residuals) - int(design.shape[1])
    # References with one and the same score leave the bend to this tiny ridge, at zero.
    ridge = 1e-9 * np.eye(design.shape[1])

    def excess(tau2: float) -> float:
        w = 1 / (variance + tau2)
        weighted = design * w[:, None]
        fit = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ residuals)
        unexplained: Floats = residuals - design @ fit
        return float((w * unexplained**2).sum()) - freedom

    if freedom <= 0:
        return 0.0
    start = float(np.var(residuals)) + float(variance.max())
    return _root_above_zero(excess, start, xtol=1e-9, rtol=1e-9)


def family_gap(gaps: ArrayLike, covariance: ArrayLike, level: float = LEVEL) -> Family:
    """Return the mean gap of a family, by random effects with shared sampling errors.

    ``gaps`` is (k,), ``covariance`` (k, k) of their sampling errors: the members answered the same
    items, and ignoring that makes the error too small.

    - τ² by generalised Paule–Mandel, weights by generalised least squares;
    - interval with t on k-1 degrees of freedom and the scale of G. Knapp & J. Hartung, Stat. Med.
      22 (2003) 2693, never below 1 (C. Röver et al., BMC Med. Res. Methodol. 15 (2015) 99);
    - prediction interval, t on k-2, of J. P. T. Higgins et al., JRSS A 172 (2009) 137.

    Raises ValueError for shapes that do not fit.
    """
    y = np.asarray(gaps, dtype=float)
    shared = np.asarray(covariance, dtype=float)
    k = len(y)
    if y.ndim != 1 or k < 1 or shared.shape != (k, k):
        raise ValueError("a family needs one gap per member and the covariance of all of them")
    critical_value(level)
    p_sign = sign_test(y)
    if k < FEWEST_MEMBERS:
        se = float(np.sqrt(shared.sum()) / k)
        return Family(k, float(y.mean()), se, None, None, 0.0, 0.0, p_sign)
    identity = np.eye(k)

    def excess(tau2: float) -> float:
        return _gls_mean(y, shared + tau2 * identity)[2] - (k - 1)

    start = float(np.var(y)) + float(shared.max())
    tau2 = _root_above_zero(excess, start, xtol=1e-12)
    estimate, variance, q = _gls_mean(y, shared + tau2 * identity)
    se = float(np.sqrt(variance * max(1.0, q / (k - 1))))
    tail = (1 + level) / 2
    reach = float(student.ppf(tail, k - 1)) * se
    wide = float(student.ppf(tail, k - 2)) * float(np.sqrt(tau2 + se**2))
    spread = _gls_mean(y, shared)[2]
    return Family(
        members=k,
        estimate=estimate,
        se=se,
        interval=Interval(estimate - reach, estimate + reach),
        prediction=Interval(estimate - wide, estimate + wide),
        tau2=tau2,
        i2=max(0.0, (spread - (k - 1)) / spread) if spread > 0 else 0.0,
        p_sign=p_sign,
    )


def sign_test(gaps: ArrayLike) -> float:
    """Return the exact two-sided sign test's p-value; gaps of zero do not count."""
    y = np.asarray(gaps, dtype=float)
    positive = int((y > 0).sum())
    nonzero = int((y != 0).sum())
    return float(binomtest(positive, nonzero).pvalue) if nonzero else 1.0


def shared_covariance(public: ArrayLike, private: ArrayLike) -> Floats:
    """Return the covariance (k, k) of k raw gaps on the same items.

    ``public`` and ``private`` are outcomes (k, items) of 0 and 1. Raises ValueError if they are of
    different numbers of members.
    """
    sides = [np.atleast_2d(np.asarray(side, dtype=float)) for side in (public, private)]
    if sides[0].shape[0] != sides[1].shape[0]:
        raise ValueError("both sets need the outcomes of the same members")
    parts = [np.atleast_2d(np.cov(side)) / side.shape[1] for side in sides]
    return np.asarray(parts[0] + parts[1], dtype=float)


def _gls_mean(y: Floats, covariance: Floats) -> tuple[float, float, float]:
    """Return (mean, its variance, Q) by generalised least squares."""
    ones = np.ones_like(y)
    solved = np.linalg.solve(covariance, np.stack([ones, y], axis=1))
    variance = 1 / float(ones @ solved[:, 0])
    mean = float(ones @ solved[:, 1]) * variance
    deviations = y - mean
    return mean, variance, float(deviations @ np.linalg.solve(covariance, deviations))


def _root_above_zero(
    excess: Callable[[float], float], start: float, *, xtol: float, rtol: float = SMALLEST_RTOL
) -> float:
    """Return the root of a decreasing function, or 0 if it is not positive at 0.

    The search doubles ``start`` until the root lies below it.
    """
    if excess(0.0) <= 0:
        return 0.0
    top = start
    while excess(top) > 0:
        top *= 2
    return float(brentq(excess, 0.0, top, xtol=xtol, rtol=rtol))
