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
        information = weighted.T @ design + ridge
        moments = weighted.T @ residuals
        fit = np.linalg.solve(information, moments)
        unexplained: Floats = residuals - design @ fit
        squares = w * unexplained**2
        return float(squares.sum()) - freedom

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
    is_list = y.ndim == 1 and k >= 1
    if not is_list or shared.shape != (k, k):
        raise ValueError("a family needs one gap per member and the covariance of all of them")
    critical_value(level)
    p_sign = sign_test(y)
    if k < FEWEST_MEMBERS:
        se = float(np.sqrt(shared.sum()) / k)
        return Family(
            members=k,
            estimate=float(y.mean()),
            se=se,
            interval=None,
            prediction=None,
            tau2=0.0,
            i2=0.0,
            p_sign=p_sign,
        )
    identity = np.eye(k)
    freedom = k - 1

    def excess(tau2: float) -> float:
        _, _, q = _gls_mean(y, shared + tau2 * identity)
        return q - freedom

    start = float(np.var(y)) + float(shared.max())
    tau2 = _root_above_zero(excess, start, xtol=1e-12)
    estimate, variance, q = _gls_mean(y, shared + tau2 * identity)
    scale = max(1.0, q / freedom)
    se = float(np.sqrt(variance * scale))
    tail = (1 + level) / 2
    reach = float(student.ppf(tail, freedom)) * se
    critical = float(student.ppf(tail, freedom - 1))
    wide = critical * float(np.sqrt(tau2 + se**2))
    _, _, spread = _gls_mean(y, shared)
    i2 = 0.0
    if spread > 0:
        i2 = max(0.0, (spread - freedom) / spread)
    return Family(
        members=k,
        estimate=estimate,
        se=se,
        interval=Interval(estimate - reach, estimate + reach),
        prediction=Interval(estimate - wide, estimate + wide),
        tau2=tau2,
        i2=i2,
        p_sign=p_sign,
    )


def sign_test(gaps: ArrayLike) -> float:
    """Return the exact two-sided sign test's p-value; gaps of zero do not count."""
    y = np.asarray(gaps, dtype=float)
    positive = int((y > 0).sum())
    nonzero = int((y != 0).sum())
    if nonzero == 0:
        return 1.0
    return float(binomtest(positive, nonzero).pvalue)


def shared_covariance(public: ArrayLike, private: ArrayLike) -> Floats:
    """Return the covariance (k, k) of k raw gaps on the same items.

    ``public`` and ``private`` are outcomes (k, items) of 0 and 1. Raises ValueError if they are of
    different numbers of members.
    """
    public_side = np.atleast_2d(np.asarray(public, dtype=float))
    private_side = np.atleast_2d(np.asarray(private, dtype=float))
    if len(public_side) != len(private_side):
        raise ValueError("both sets need the outcomes of the same members")
    of_public = np.atleast_2d(np.cov(public_side)) / public_side.shape[1]
    of_private = np.atleast_2d(np.cov(private_side)) / private_side.shape[1]
    return np.asarray(of_public + of_private, dtype=float)


def _gls_mean(y: Floats, covariance: Floats) -> tuple[float, float, float]:
    """Return (mean, its variance, Q) by generalised least squares."""
    ones = np.ones_like(y)
    sides = np.stack([ones, y], axis=1)
    solved = np.linalg.solve(covariance, sides)
    variance = 1 / float(ones @ solved[:, 0])
    mean = float(ones @ solved[:, 1]) * variance
    deviations = y - mean
    weighted = np.linalg.solve(covariance, deviations)
    q = float(deviations @ weighted)
    return mean, variance, q


def _root_above_zero(
    excess: Callable[[float], float],
    start: float,
    *,
    xtol: float,
    rtol: float = SMALLEST_RTOL,
) -> float:
    """Return the root of a decreasing function, or 0 if it is not positive at 0.

    The search doubles ``start`` until the root lies below it.
    """
    if excess(0.0) <= 0:
        return 0.0
    top = start
    while excess(top) > 0:
        top *= 2
    root = brentq(excess, 0.0, top, xtol=xtol, rtol=rtol)
    return float(root)
