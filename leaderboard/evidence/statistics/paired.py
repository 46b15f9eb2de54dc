"""Two answers to the same items: the interval of Tango and the exact test of McNemar.

Of ``n`` items ``b`` were answered rightly by the first side only and ``c`` by the second only.
"""

from math import copysign, sqrt

from scipy.optimize import brentq
from scipy.special import bdtr

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value


def _check(b: int, c: int, n: int) -> None:
    if b < 0 or c < 0 or n <= 0 or b + c > n:
        raise ValueError("discordant items need b >= 0, c >= 0, b + c <= n and n > 0")


def tango_z(b: int, c: int, n: int, delta: float) -> float:
    """The score statistic of "(b - c)/n estimates ``delta``": T. Tango, Stat. Med. 17 (1998) 891, equations 8-11.

    Raises ``ValueError`` unless b, c >= 0, b + c <= n and n > 0.
    """
    _check(b, c, n)
    distance = b - c - n * delta
    # The constrained share of items that the second side alone answers: larger root of 2n q² + B q + C.
    middle = -b - c + (2 * n - b + c) * delta
    rest = -c * delta * (1 - delta)
    share = (sqrt(max(middle * middle - 8 * n * rest, 0.0)) - middle) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    if variance <= 1e-15:
        return 0.0 if abs(distance) < 1e-12 else copysign(float("inf"), distance)
    return distance / sqrt(variance)


def tango(b: int, c: int, n: int, level: float = LEVEL) -> Interval:
    """The differences ``(b - c)/n`` that Tango's score test does not reject.

    Raises ``ValueError`` as :func:`tango_z` does.
    """
    _check(b, c, n)
    z = critical_value(level)
    gap = (b - c) / n

    def excess(delta: float, wanted: float) -> float:
        return max(min(tango_z(b, c, n, delta), 1e6), -1e6) - wanted

    edge = 1 - 1e-12
    low = (
        -1.0 if excess(-edge, z) <= 0 else float(brentq(excess, -edge, gap, args=(z,), xtol=1e-12))
    )
    high = (
        1.0 if excess(edge, -z) >= 0 else float(brentq(excess, gap, edge, args=(-z,), xtol=1e-12))
    )
    return Interval(low, high)


def mcnemar_exact(b: int, c: int) -> float:
    """The exact two-sided p that the two sides are equally likely right: Q. McNemar, Psychometrika 12 (1947) 153.

    Twice the smaller binomial tail of ``b`` in ``b + c`` at one half, at most 1.
    Raises ``ValueError`` for negative counts.
    """
    _check(b, c, max(b + c, 1))
    return min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5))) if b + c else 1.0


def mcnemar_chi2(b: int, c: int) -> float:
    """``(b - c)² / (b + c)``, without continuity correction; 0 where no item is discordant."""
    _check(b, c, max(b + c, 1))
    return (b - c) ** 2 / (b + c) if b + c else 0.0
