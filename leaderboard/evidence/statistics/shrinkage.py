"""Shrunken estimates: the gap of each of many models, drawn towards the mean of all by its error.

The largest of many estimates is too large by chance. Its shrunken value is not, on average.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from leaderboard.evidence.statistics.meta import paule_mandel

FEWEST = 4
"""Models below which shrinkage to their own mean gains nothing (Efron and Morris)."""


class Shrunken(NamedTuple):
    """Posterior mean and standard deviation of one true gap."""

    gap: float
    se: float


def shrunken(gaps: Sequence[float], errors: Sequence[float]) -> list[Shrunken]:
    """Return the posterior of each gap by empirical Bayes; an empty list for fewer than four.

    With ``gap_i ~ N(θ_i, s_i²)`` and ``θ_i ~ N(μ, τ²)``, the mean is ``μ + B_i (gap_i - μ)`` and
    the variance ``B_i s_i²`` with ``B_i = τ² / (τ² + s_i²)``. τ² is Paule and Mandel's, μ the mean
    weighted by ``1 / (τ² + s_i²)``. B. Efron & C. Morris, JASA 70 (1975) 311. Raises ValueError for
    lists of different lengths or an error that is not positive.
    """
    y = np.asarray(gaps, dtype=float)
    variance = np.asarray(errors, dtype=float) ** 2
    has_error = variance > 0
    if y.shape != variance.shape or not np.all(has_error):
        raise ValueError("each gap needs a positive error")
    if len(y) < FEWEST:
        return []
    intercept = np.ones((len(y), 1))
    tau2 = paule_mandel(y, variance, intercept)
    weight = 1 / (tau2 + variance)
    total = (weight * y).sum()
    mean = float(total / weight.sum())
    share = tau2 * weight
    estimates = mean + share * (y - mean)
    deviations = np.sqrt(share * variance)
    pairs = zip(estimates, deviations, strict=True)
    return [Shrunken(float(gap), float(se)) for gap, se in pairs]
