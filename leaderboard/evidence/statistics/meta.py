"""Pooling estimates: the heterogeneity between models, and the mean of a family whose errors are shared."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, chi2
from scipy.stats import t as student

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value

Floats = NDArray[np.float64]
FEWEST_MEMBERS = 3
"""Below this many members a family's spread cannot be estimated: only the signs are counted."""


class Pooled(NamedTuple):
    """A random-effects mean: estimate, standard error, variance between, Cochran's Q."""

    estimate: float
    se: float
    tau2: float
    q: float


class Family(NamedTuple):
    """What a family's gaps say together.

    ``interval`` and ``prediction`` are ``None`` for fewer than three members; ``p_sign`` is the exact two-sided sign
    test over the members, ``i2`` the share of the spread that sampling does not explain.
    """

    members: int
    estimate: float
    se: float
    interval: Interval | None
    prediction: Interval | None
    tau2: float
    i2: float
    p_sign: float


def der_simonian_laird(y: ArrayLike, variance: ArrayLike) -> Pooled:
    """The moment estimate in closed form: R. DerSimonian & N. Laird, Control. Clin. Trials 7 (1986) 177.

    Raises ``ValueError`` for fewer than two estimates or a variance that is not positive.
    """
    values, v = _paired(y, variance)
    w = 1 / v
    mean = float((w * values).sum() / w.sum())
    q = float((w * (values - mean) ** 2).sum())
    scale = float(w.sum() - (w**2).sum() / w.sum())
    tau2 = max(0.0, (q - (len(values) - 1)) / scale)
    w = 1 / (v + tau2)
    return Pooled(float((w * values).sum() / w.sum()), float(w.sum() ** -0.5), tau2, q)


def paule_mandel(residuals: Floats, variance: Floats, design: Floats) -> float:
    """The τ² at which the weighted residual sum of squares equals its degrees of freedom.

    R. C. Paule & J. Mandel, J. Res. NBS 87 (1982) 377, with a regression (T. D. Stanley's meta-regression form): the
    coefficients are fitted anew at each τ². ``residuals`` (m,) may be any outcome, ``design`` is (m, q) with m > q.
    0 where the sampling error alone explains the spread.
    """
    freedom = len(residuals) - int(design.shape[1])

    # A hair: references with one and the same score leave the bend to zero.
    ridge = 1e-9 * np.eye(design.shape[1])

    def excess(tau2: float) -> float:
        w = 1 / (variance + tau2)
        weighted = design * w[:, None]
        fit = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ residuals)
        off: Floats = residuals - design @ fit
        return float((w * off**2).sum()) - freedom

    if freedom <= 0 or excess(0.0) <= 0:
        return 0.0
    top = float(np.var(residuals)) + float(variance.max())
    while excess(top) > 0:
        top *= 2
    return float(brentq(excess, 0.0, top, xtol=1e-9, rtol=1e-9))


def family_gap(gaps: ArrayLike, covariance: ArrayLike, level: float = LEVEL) -> Family:
    """The mean gap of a family, by random effects with the sampling errors that the members share.

    ``gaps`` is (k,), ``covariance`` (k, k) of their sampling errors: the members answered the same items, and ignoring
    that makes the error too small. τ² by generalised Paule–Mandel, weights by generalised least squares, the interval
    with t on k-1 degrees of freedom and the scale of G. Knapp & J. Hartung, Stat. Med. 22 (2003) 2693, never below 1
    (C. Röver et al., BMC Med. Res. Methodol. 15 (2015) 99); the prediction interval, t on k-2, of J. P. T. Higgins
    et al., JRSS A 172 (2009) 137. Raises ``ValueError`` for shapes that do not fit.
    """
    y, shared = np.asarray(gaps, dtype=float), np.asarray(covariance, dtype=float)
    k = len(y)
    if y.ndim != 1 or k < 1 or shared.shape != (k, k):
        raise ValueError("a family needs one gap per member and the covariance of all of them")
    critical_value(level)
    positive, nonzero = int((y > 0).sum()), int((y != 0).sum())
    p_sign = float(binomtest(positive, nonzero).pvalue) if nonzero else 1.0
    if k < FEWEST_MEMBERS:
        return Family(
            k, float(y.mean()), float(np.sqrt(shared.sum()) / k), None, None, 0.0, 0.0, p_sign
        )
    tau2 = _generalised_tau2(y, shared)
    estimate, variance, q = _gls_mean(y, shared + tau2 * np.eye(k))
    se = float(np.sqrt(variance * max(1.0, q / (k - 1))))
    tail = (1 + level) / 2
    reach = float(student.ppf(tail, k - 1)) * se
    wide = float(student.ppf(tail, k - 2)) * float(np.sqrt(tau2 + se**2))
    spread = _gls_mean(y, shared)[2]
    i2 = max(0.0, (spread - (k - 1)) / spread) if spread > 0 else 0.0
    around, future = (
        Interval(estimate - reach, estimate + reach),
        Interval(estimate - wide, estimate + wide),
    )
    return Family(k, estimate, se, around, future, tau2, i2, p_sign)


def shared_covariance(public: ArrayLike, private: ArrayLike) -> Floats:
    """The covariance (k, k) of k raw gaps on the same items, from outcomes (k, items) of 0 and 1 on either set."""
    sides = [np.atleast_2d(np.asarray(side, dtype=float)) for side in (public, private)]
    if sides[0].shape[0] != sides[1].shape[0]:
        raise ValueError("both sets need the outcomes of the same members")
    parts = [np.atleast_2d(np.cov(side)) / side.shape[1] for side in sides]
    return np.asarray(parts[0] + parts[1], dtype=float)


def heterogeneity_p(q: float, freedom: int) -> float:
    """The chance of a Cochran's Q this large where all members are alike."""
    return float(chi2.sf(q, freedom))


def _paired(y: ArrayLike, variance: ArrayLike) -> tuple[Floats, Floats]:
    values, v = np.asarray(y, dtype=float), np.asarray(variance, dtype=float)
    if values.ndim != 1 or values.shape != v.shape or len(values) < 2 or np.any(~(v > 0)):
        raise ValueError("pooling needs two estimates or more, each with a positive variance")
    return values, v


def _gls_mean(y: Floats, covariance: Floats) -> tuple[float, float, float]:
    """(mean, its variance, Q) by generalised least squares."""
    one = np.ones_like(y)
    solved = np.linalg.solve(covariance, np.stack([one, y], axis=1))
    variance = 1 / float(one @ solved[:, 0])
    mean = float(one @ solved[:, 1]) * variance
    off = y - mean
    return mean, variance, float(off @ np.linalg.solve(covariance, off))


def _generalised_tau2(y: Floats, covariance: Floats) -> float:
    eye, freedom = np.eye(len(y)), len(y) - 1

    def excess(tau2: float) -> float:
        return _gls_mean(y, covariance + tau2 * eye)[2] - freedom

    if excess(0.0) <= 0:
        return 0.0
    top = float(np.var(y)) + float(covariance.max())
    while excess(top) > 0:
        top *= 2
    return float(brentq(excess, 0.0, top, xtol=1e-12))
