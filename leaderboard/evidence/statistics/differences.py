"""Difference of two independent shares, first less second: Newcombe's interval and a score test.

The score test is our own: the ``score`` method of statsmodels 0.15.0 has a wrong coefficient in the
constrained estimate (its issue 10269).
"""

from math import acos, copysign, cos, pi, sqrt
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.special import ndtr

from leaderboard.evidence.statistics.intervals import (
    LEVEL,
    Interval,
    check_share,
    critical_value,
    wilson,
)


class ScoreTest(NamedTuple):
    """Score statistic of a difference, one-sided p (first share higher) and two-sided p."""

    z: float
    p_greater: float
    p_two_sided: float


def newcombe(
    k1: float,
    n1: float,
    k2: float,
    n2: float,
    level: float = LEVEL,
) -> Interval:
    """Return Newcombe's interval for ``k1/n1 - k2/n2``, from two independent sets of items.

    Method 10 of R. G. Newcombe, Stat. Med. 17 (1998) 873: the Wilson intervals (l, u) joined as
    ``d - √((p1-l1)² + (u2-p2)²)`` and ``d + √((u1-p1)² + (p2-l2)²)``. Raises ValueError as
    :func:`wilson` does.
    """
    first = wilson(k1, n1, level)
    second = wilson(k2, n2, level)
    return joined(k1 / n1, first, k2 / n2, second)


def joined(
    p1: float,
    first: Interval,
    p2: float,
    second: Interval,
) -> Interval:
    """Return the interval of ``p1 - p2`` from those of two independent estimates, as above."""
    gap = p1 - p2
    first_below = p1 - first.low
    first_above = first.high - p1
    second_below = p2 - second.low
    second_above = second.high - p2
    low = gap - sqrt(first_below**2 + second_above**2)
    high = gap + sqrt(first_above**2 + second_below**2)
    return Interval(low, high)


def constrained(
    k1: float,
    n1: float,
    k2: float,
    n2: float,
    delta: float,
) -> tuple[float, float]:
    """Return the most likely two shares whose difference is ``delta``.

    Root of the cubic likelihood equation in closed form: C. P. Farrington & G. Manning, Stat. Med.
    9 (1990) 1447, appendix, written for p1 - p2 = delta.
    """
    theta = n2 / n1
    p1 = k1 / n1
    p2 = k2 / n2
    weighted_p2 = theta * p2
    # The coefficients of the cubic.
    a = 1 + theta
    b = -(1 + theta + p1 + weighted_p2 + delta * (theta + 2))
    linear = delta * (2 * p1 + theta + 1)
    c = delta * delta + linear + p1 + weighted_p2
    d = -p1 * delta * (1 + delta)
    shift = b / (3 * a)
    bc_term = b * c / (6 * a * a)
    v = shift**3 - bc_term + d / (2 * a)
    u_squared = max(shift**2 - c / (3 * a), 0.0)
    u = copysign(sqrt(u_squared), v)
    turn = 0.0
    if u != 0:
        ratio = v / u**3
        turn = max(-1.0, min(1.0, ratio))
    angle = (pi + acos(turn)) / 3
    root = 2 * u * cos(angle) - shift
    not_below = max(root, 0.0, delta)
    first = min(not_below, 1.0, 1.0 + delta)
    return first, first - delta


def score_z(
    k1: float,
    n1: float,
    k2: float,
    n2: float,
    delta: float = 0.0,
) -> float:
    """Return the score statistic of "the true difference is ``delta``".

    Positive where the observed difference is larger. O. Miettinen & M. Nurminen, Stat. Med. 4
    (1985) 213, with their factor N/(N-1) on the variance. Raises ValueError as :func:`wilson` does.
    """
    check_share(k1, n1)
    check_share(k2, n2)
    distance = k1 / n1 - k2 / n2 - delta
    first, second = constrained(k1, n1, k2, n2, delta)
    of_first = first * (1 - first) / n1
    of_second = second * (1 - second) / n2
    factor = (n1 + n2) / (n1 + n2 - 1)
    variance = (of_first + of_second) * factor
    if variance > 0:
        return distance / sqrt(variance)
    if abs(distance) < 1e-15:
        return 0.0
    return copysign(float("inf"), distance)


def miettinen_nurminen(
    k1: float,
    n1: float,
    k2: float,
    n2: float,
    level: float = LEVEL,
) -> Interval:
    """Return the differences ``k1/n1 - k2/n2`` that the test of :func:`score_z` does not reject.

    Raises ValueError as :func:`wilson` does.
    """
    check_share(k1, n1)
    check_share(k2, n2)
    z = critical_value(level)
    gap = k1 / n1 - k2 / n2

    def excess(delta: float, critical: float) -> float:
        # The root finder needs numbers, and an infinite statistic is as far away as any.
        statistic = score_z(k1, n1, k2, n2, delta)
        at_most = min(statistic, 1e6)
        return max(at_most, -1e6) - critical

    low = -1.0
    high = 1.0
    edge = 1 - 1e-12
    if excess(-edge, z) > 0:
        root = brentq(excess, -edge, gap, args=(z,), xtol=1e-12)
        low = float(root)
    if excess(edge, -z) < 0:
        root = brentq(excess, gap, edge, args=(-z,), xtol=1e-12)
        high = float(root)
    return Interval(low, high)


def score_test(
    k1: float,
    n1: float,
    k2: float,
    n2: float,
    delta: float = 0.0,
) -> ScoreTest:
    """Return the test of :func:`score_z`, dual to the interval of :func:`miettinen_nurminen`.

    Raises ValueError as :func:`wilson` does.
    """
    z = score_z(k1, n1, k2, n2, delta)
    p_greater = float(ndtr(-z))
    p_two_sided = float(2 * ndtr(-abs(z)))
    return ScoreTest(z, p_greater, p_two_sided)
