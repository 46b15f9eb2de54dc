"""Confidence intervals for one share: Wilson's, and Clopper and Pearson's for few items."""

from math import sqrt
from typing import NamedTuple

from scipy.special import betaincinv, ndtri

LEVEL = 0.95
"""Default level of every interval."""
SMALL_CELL = 100
"""Number of items below which an interval from the normal limit is too narrow."""


class Interval(NamedTuple):
    """Two-sided confidence interval, as fractions (0.05 is five percentage points)."""

    low: float
    high: float


def critical_value(level: float) -> float:
    """Return the standard normal quantile of a two-sided interval, 1.96 for ``level`` 0.95.

    Raises ValueError unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError("the level of an interval lies between 0 and 1")
    return float(ndtri((1 + level) / 2))


def check_share(k: float, n: float) -> None:
    """Raise ValueError unless ``k`` of ``n`` items is a share: 0 <= k <= n and n > 0."""
    if not 0 <= k <= n or n == 0:
        raise ValueError("a share needs 0 <= k <= n and n > 0")


def wilson(k: float, n: float, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval for the share ``k`` of ``n`` items.

    ``(2np + z² ± z√(z² + 4npq)) / (2(n + z²))`` with p = k/n: E. B. Wilson, JASA 22 (1927) 209;
    method 3 of R. G. Newcombe, Stat. Med. 17 (1998) 857. Raises ValueError unless 0 <= k <= n and
    n > 0.
    """
    check_share(k, n)
    z = critical_value(level)
    z_squared = z * z
    middle = 2 * k + z_squared
    of_share = 4 * k * (n - k) / n
    reach = z * sqrt(z_squared + of_share)
    scale = 2 * (n + z_squared)
    # At the ends one bound is exactly 0 or 1: rounding must not push it past the share.
    low = 0.0
    high = 1.0
    if k != 0:
        low = (middle - reach) / scale
    if k != n:
        high = (middle + reach) / scale
    return Interval(low, high)


def clopper_pearson(k: float, n: float, level: float = LEVEL) -> Interval:
    """Return the exact interval for the share ``k`` of ``n``, which is never too narrow.

    Quantiles of two beta distributions: C. J. Clopper & E. S. Pearson, Biometrika 26 (1934) 404.
    Raises ValueError as :func:`wilson` does.
    """
    check_share(k, n)
    critical_value(level)
    tail = (1 - level) / 2
    low = 0.0
    high = 1.0
    if k != 0:
        low = float(betaincinv(k, n - k + 1, tail))
    if k != n:
        high = float(betaincinv(k + 1, n - k, 1 - tail))
    return Interval(low, high)


def accuracy_interval(k: float, n: float, level: float = LEVEL) -> Interval:
    """Return the interval that pages show: Clopper and Pearson's below 100 items, else Wilson's."""
    if n < SMALL_CELL:
        return clopper_pearson(k, n, level)
    return wilson(k, n, level)
