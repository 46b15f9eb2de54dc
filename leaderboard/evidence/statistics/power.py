"""Smallest effects that a test would have found; pages print them next to each evidence level.

Without them a reader could take "no evidence" for an acquittal.
"""

from math import inf, sqrt

from scipy.optimize import brentq
from scipy.special import nctdtrinc, ndtri, stdtrit

from leaderboard.evidence.vocabulary import LEVELS

ALPHA = LEVELS.single
POWER = LEVELS.power


def visible(
    se: float,
    alpha: float = ALPHA,
    power: float = POWER,
    freedom: float = inf,
) -> float:
    """Return the true difference that a one-sided test at ``alpha`` finds with ``power``.

    ``(z₁₋α + z_power) · se`` for a normal test. With t on ``freedom`` degrees, whose standard error
    is estimated, it is ``se`` times the noncentrality at which P(T <= t₁₋α) = 1 - power. Raises
    ValueError if ``se`` is negative.
    """
    if se < 0:
        raise ValueError("a standard error is not negative")
    if freedom == inf:
        standard_errors = ndtri(1 - alpha) + ndtri(power)
        return float(standard_errors) * se
    critical = stdtrit(freedom, 1 - alpha)
    noncentrality = nctdtrinc(freedom, 1 - power, critical)
    return float(noncentrality) * se


def visible_raw_gap(
    p: float,
    n1: int,
    n2: int,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Return the smallest raw gap that independent sets of ``n1`` and ``n2`` items show.

    ``p`` is the private share. Solves δ = z₁₋α √(p̄q̄(1/n1 + 1/n2)) + z_power √(p1q1/n1 + pq/n2)
    with p1 = p + δ: J. L. Fleiss, Statistical Methods for Rates and Proportions (1981), section
    3.2. NaN where no possible gap is large enough.

    Raises ValueError unless 0 < p < 1 and both sets have items.
    """
    has_items = n1 > 0 and n2 > 0
    if not 0 < p < 1 or not has_items:
        raise ValueError("power needs 0 < p < 1 and items in both sets")
    z_alpha = float(ndtri(1 - alpha))
    z_power = float(ndtri(power))

    def surplus(delta: float) -> float:
        """Return the gap ``delta`` less the gap that is found if ``delta`` is the true one."""
        first = p + delta
        pooled = (n1 * first + n2 * p) / (n1 + n2)
        pooled_variance = pooled * (1 - pooled)
        null = sqrt(pooled_variance * (1 / n1 + 1 / n2))
        of_first = first * (1 - first) / n1
        of_second = p * (1 - p) / n2
        alternative = sqrt(of_first + of_second)
        return delta - z_alpha * null - z_power * alternative

    largest = 1 - p
    if surplus(largest) <= 0:
        return float("nan")
    return float(brentq(surplus, 0.0, largest, xtol=1e-9))
