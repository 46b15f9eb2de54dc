"""The difference of two independent shares: Newcombe shown, Miettinen–Nurminen tested, exact tests for small cells.

Differences are first minus second. The score test is our own: the ``score`` method of statsmodels 0.15.0 has a wrong
coefficient in the constrained estimate (its issue 10269).
"""

from math import acos, copysign, cos, pi, sqrt
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import barnard_exact, boschloo_exact, hypergeom

from leaderboard.evidence.statistics.intervals import (
    LEVEL,
    Interval,
    check_share,
    critical_value,
    wilson,
)


class ScoreTest(NamedTuple):
    """The score statistic of a difference, its one-sided p (first higher than second) and its two-sided p."""

    z: float
    p_greater: float
    p_two_sided: float


def newcombe(k1: int, n1: int, k2: int, n2: int, level: float = LEVEL) -> Interval:
    """Newcombe's interval for ``k1/n1 - k2/n2`` when the two sets of items are independent.

    Method 10 of R. G. Newcombe, Stat. Med. 17 (1998) 873: the two Wilson intervals (l, u) joined as
    ``d - √((p1-l1)² + (u2-p2)²)`` and ``d + √((u1-p1)² + (p2-l2)²)``. Raises ``ValueError`` as :func:`wilson` does.
    """
    first, second = wilson(k1, n1, level), wilson(k2, n2, level)
    p1, p2 = k1 / n1, k2 / n2
    gap = p1 - p2
    low = gap - sqrt((p1 - first.low) ** 2 + (second.high - p2) ** 2)
    high = gap + sqrt((first.high - p1) ** 2 + (p2 - second.low) ** 2)
    return Interval(low, high)


def agresti_caffo(k1: int, n1: int, k2: int, n2: int, level: float = LEVEL) -> Interval:
    """Wald's interval after one right and one wrong answer are added to each set, cut at -1 and 1.

    A. Agresti & B. Caffo, Am. Stat. 54 (2000) 280. It need not contain ``k1/n1 - k2/n2``.
    Raises ``ValueError`` as :func:`wilson` does.
    """
    check_share(k1, n1)
    check_share(k2, n2)
    p1, p2 = (k1 + 1) / (n1 + 2), (k2 + 1) / (n2 + 2)
    reach = critical_value(level) * sqrt(p1 * (1 - p1) / (n1 + 2) + p2 * (1 - p2) / (n2 + 2))
    return Interval(max(p1 - p2 - reach, -1.0), min(p1 - p2 + reach, 1.0))


def constrained(k1: int, n1: int, k2: int, n2: int, delta: float) -> tuple[float, float]:
    """The most likely two shares whose difference is ``delta``.

    The root of the cubic likelihood equation in closed form: C. P. Farrington & G. Manning, Stat. Med. 9 (1990) 1447,
    appendix, written for p1 - p2 = delta.
    """
    theta = n2 / n1
    p1, p2 = k1 / n1, k2 / n2
    a = 1 + theta
    b = -(1 + theta + p1 + theta * p2 + delta * (theta + 2))
    c = delta * delta + delta * (2 * p1 + theta + 1) + p1 + theta * p2
    d = -p1 * delta * (1 + delta)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
    u = copysign(sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0.0)), v)
    turn = 0.0 if u == 0 else max(-1.0, min(1.0, v / u**3))
    root = 2 * u * cos((pi + acos(turn)) / 3) - b / (3 * a)
    first = min(max(root, 0.0, delta), 1.0, 1.0 + delta)
    return first, first - delta


def score_z(
    k1: int, n1: int, k2: int, n2: int, delta: float = 0.0, *, unbiased: bool = True
) -> float:
    """The score statistic of "the true difference is ``delta``"; positive where the observed one is larger.

    ``unbiased`` multiplies the variance by N/(N-1), as O. Miettinen & M. Nurminen, Stat. Med. 4 (1985) 213, do;
    without it this is R. W. Mee's, Biometrics 40 (1984) 1175. Raises ``ValueError`` as :func:`wilson` does.
    """
    check_share(k1, n1)
    check_share(k2, n2)
    distance = k1 / n1 - k2 / n2 - delta
    first, second = constrained(k1, n1, k2, n2, delta)
    variance = first * (1 - first) / n1 + second * (1 - second) / n2
    if unbiased:
        variance *= (n1 + n2) / (n1 + n2 - 1)
    if variance <= 0:
        return 0.0 if abs(distance) < 1e-15 else copysign(float("inf"), distance)
    return distance / sqrt(variance)


def _inverted(k1: int, n1: int, k2: int, n2: int, level: float, *, unbiased: bool) -> Interval:
    """All differences that the score test does not reject."""
    z = critical_value(level)
    gap = k1 / n1 - k2 / n2

    def excess(delta: float, wanted: float) -> float:
        # An infinite statistic is as far away as any; brentq needs numbers.
        found = score_z(k1, n1, k2, n2, delta, unbiased=unbiased)
        return max(min(found, 1e6), -1e6) - wanted

    edge = 1 - 1e-12
    low = (
        -1.0 if excess(-edge, z) <= 0 else float(brentq(excess, -edge, gap, args=(z,), xtol=1e-12))
    )
    high = (
        1.0 if excess(edge, -z) >= 0 else float(brentq(excess, gap, edge, args=(-z,), xtol=1e-12))
    )
    return Interval(low, high)


def miettinen_nurminen(k1: int, n1: int, k2: int, n2: int, level: float = LEVEL) -> Interval:
    """The differences ``k1/n1 - k2/n2`` that Miettinen & Nurminen's score test (1985) does not reject.

    Raises ``ValueError`` as :func:`wilson` does.
    """
    check_share(k1, n1)
    check_share(k2, n2)
    return _inverted(k1, n1, k2, n2, level, unbiased=True)


def mee(k1: int, n1: int, k2: int, n2: int, level: float = LEVEL) -> Interval:
    """As :func:`miettinen_nurminen` without the factor N/(N-1): R. W. Mee (1984)."""
    check_share(k1, n1)
    check_share(k2, n2)
    return _inverted(k1, n1, k2, n2, level, unbiased=False)


def score_test(k1: int, n1: int, k2: int, n2: int, delta: float = 0.0) -> ScoreTest:
    """Miettinen & Nurminen's test that the true difference is ``delta``, dual to their interval.

    Raises ``ValueError`` as :func:`wilson` does.
    """
    z = score_z(k1, n1, k2, n2, delta)
    return ScoreTest(z, float(ndtr(-z)), float(2 * ndtr(-abs(z))))


def boschloo(k1: int, n1: int, k2: int, n2: int) -> float:
    """Boschloo's unconditional exact p, two-sided, for small cells: R. D. Boschloo, Stat. Neerl. 24 (1970) 1."""
    check_share(k1, n1)
    check_share(k2, n2)
    return float(boschloo_exact([[k1, k2], [n1 - k1, n2 - k2]]).pvalue)


def barnard(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float]:
    """Barnard's unconditional exact test, two-sided: (pooled statistic, p). G. A. Barnard, Nature 156 (1945) 177."""
    check_share(k1, n1)
    check_share(k2, n2)
    found = barnard_exact([[k1, k2], [n1 - k1, n2 - k2]])
    return float(found.statistic), float(found.pvalue)


def fisher(k1: int, n1: int, k2: int, n2: int) -> float:
    """Fisher's conditional exact p, two-sided, by small probabilities (1935). Too cautious for small cells."""
    check_share(k1, n1)
    check_share(k2, n2)
    right = k1 + k2
    chance = hypergeom(n1 + n2, right, n1).pmf(range(max(0, right - n2), min(right, n1) + 1))
    seen = hypergeom(n1 + n2, right, n1).pmf(k1)
    return min(1.0, float(chance[chance <= seen * (1 + 1e-7)].sum()))
