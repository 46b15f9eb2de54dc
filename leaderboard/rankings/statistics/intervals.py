"""Confidence intervals for one share and for the difference of two independent shares."""

from math import sqrt
from typing import NamedTuple

from scipy.special import ndtri


class Interval(NamedTuple):
    """A two-sided confidence interval, as fractions (0.05 is five percentage points)."""

    lo: float
    hi: float


def critical_value(level: float) -> float:
    """The standard normal quantile of a two-sided interval, 1.96 for ``level`` 0.95.

    Raises ``ValueError`` unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError("the level of an interval lies between 0 and 1")
    return float(ndtri((1 + level) / 2))


def wilson(k: int, n: int, level: float) -> Interval:
    """Wilson's score interval for the share ``k`` of ``n`` items.

    ``(2np + z² ± z√(z² + 4npq)) / (2(n + z²))`` with p = k/n: E. B. Wilson, JASA 22 (1927) 209; method 3 of
    R. G. Newcombe, Stat. Med. 17 (1998) 857. Raises ``ValueError`` unless 0 <= k <= n and n > 0.
    """
    if not 0 <= k <= n or n == 0:
        raise ValueError("a share needs 0 <= k <= n and n > 0")
    z = critical_value(level)
    middle = 2 * k + z * z
    reach = z * sqrt(z * z + 4 * k * (n - k) / n)
    below = 2 * (n + z * z)
    # At the ends one bound is exactly 0 or 1; rounding must not push it past the share it has to contain.
    lo = 0.0 if k == 0 else (middle - reach) / below
    hi = 1.0 if k == n else (middle + reach) / below
    return Interval(lo, hi)


def newcombe(k1: int, n1: int, k2: int, n2: int, level: float) -> Interval:
    """Newcombe's interval for ``k1/n1 - k2/n2`` when the two sets of items are independent.

    Method 10 of R. G. Newcombe, Stat. Med. 17 (1998) 873: the two Wilson intervals (l, u) joined as
    ``d - √((p1-l1)² + (u2-p2)²)`` and ``d + √((u1-p1)² + (p2-l2)²)``. Raises ``ValueError`` as :func:`wilson` does.
    """
    first, second = wilson(k1, n1, level), wilson(k2, n2, level)
    p1, p2 = k1 / n1, k2 / n2
    gap = p1 - p2
    lo = gap - sqrt((p1 - first.lo) ** 2 + (second.hi - p2) ** 2)
    hi = gap + sqrt((first.hi - p1) ** 2 + (p2 - second.lo) ** 2)
    return Interval(lo, hi)
