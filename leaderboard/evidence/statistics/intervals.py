"""Confidence intervals for one share: Wilson shown, Clopper–Pearson for small cells, the rest to compare with."""

from math import sqrt
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.special import bdtr, bdtrc, betaincinv, ndtri

LEVEL = 0.95
"""The level of every interval unless a caller says otherwise."""
SMALL_CELL = 100
"""Below this many items an interval from the normal limit is too narrow: the exact one is shown."""


class Interval(NamedTuple):
    """A two-sided confidence interval, as fractions (0.05 is five percentage points)."""

    low: float
    high: float


def critical_value(level: float) -> float:
    """The standard normal quantile of a two-sided interval, 1.96 for ``level`` 0.95.

    Raises ``ValueError`` unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError("the level of an interval lies between 0 and 1")
    return float(ndtri((1 + level) / 2))


def check_share(k: int, n: int) -> None:
    """Raise ``ValueError`` unless ``k`` of ``n`` items is a share: 0 <= k <= n and n > 0."""
    if not 0 <= k <= n or n == 0:
        raise ValueError("a share needs 0 <= k <= n and n > 0")


def wilson(k: int, n: int, level: float = LEVEL) -> Interval:
    """Wilson's score interval for the share ``k`` of ``n`` items.

    ``(2np + z² ± z√(z² + 4npq)) / (2(n + z²))`` with p = k/n: E. B. Wilson, JASA 22 (1927) 209; method 3 of
    R. G. Newcombe, Stat. Med. 17 (1998) 857. Raises ``ValueError`` unless 0 <= k <= n and n > 0.
    """
    check_share(k, n)
    z = critical_value(level)
    middle = 2 * k + z * z
    reach = z * sqrt(z * z + 4 * k * (n - k) / n)
    below = 2 * (n + z * z)
    # At the ends one bound is exactly 0 or 1; rounding must not push it past the share it has to contain.
    low = 0.0 if k == 0 else (middle - reach) / below
    high = 1.0 if k == n else (middle + reach) / below
    return Interval(low, high)


def clopper_pearson(k: int, n: int, level: float = LEVEL) -> Interval:
    """The exact interval for the share ``k`` of ``n``: C. J. Clopper & E. S. Pearson, Biometrika 26 (1934) 404.

    Quantiles of two beta distributions. Never too narrow, for any n. Raises ``ValueError`` as :func:`wilson` does.
    """
    check_share(k, n)
    critical_value(level)
    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return Interval(low, high)


def mid_p(k: int, n: int, level: float = LEVEL) -> Interval:
    """The exact interval that counts half of the observed point: method 6 of R. G. Newcombe (1998) 857.

    Raises ``ValueError`` as :func:`wilson` does.
    """
    check_share(k, n)
    critical_value(level)
    tail = (1 - level) / 2

    def above(p: float) -> float:
        """P(X > k) + ½ P(X = k)."""
        return float(bdtrc(k, n, p) + (bdtrc(k - 1, n, p) if k else 1.0)) / 2 - tail

    def below(p: float) -> float:
        return float(bdtr(k, n, p) + (bdtr(k - 1, n, p) if k else 0.0)) / 2 - tail

    low = 0.0 if k == 0 else float(brentq(above, 0, k / n, xtol=1e-12))
    high = 1.0 if k == n else float(brentq(below, k / n, 1, xtol=1e-12))
    return Interval(low, high)


def wald(k: int, n: int, level: float = LEVEL) -> Interval:
    """``p ± z√(pq/n)``: what other boards print, kept to reproduce them. Too narrow near 0 and 1 and for small n.

    Raises ``ValueError`` as :func:`wilson` does.
    """
    check_share(k, n)
    p = k / n
    reach = critical_value(level) * sqrt(p * (1 - p) / n)
    return Interval(p - reach, p + reach)


def accuracy_interval(k: int, n: int, level: float = LEVEL) -> Interval:
    """The interval that a page shows for one answer per item: Clopper–Pearson under 100 items, Wilson from there on."""
    return clopper_pearson(k, n, level) if n < SMALL_CELL else wilson(k, n, level)
