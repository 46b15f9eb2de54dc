"""Corrections for many tests: by Holm, and by Benjamini and Hochberg.

Exports and published tables state them next to the p-value; they decide no evidence level.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def holm(p: Sequence[float] | Floats) -> Floats:
    """Return adjusted p-values in the order given: reject those <= α.

    The chance of one or more false rejections is then at most α. Running maximum of
    ``(m - i + 1) p(i)``, at most 1: S. Holm, Scand. J. Stat. 6 (1979) 65. Raises ValueError for
    anything but numbers between 0 and 1.
    """
    values, order = _ascending(p)
    steps = np.arange(len(values), 0, -1)
    running = np.maximum.accumulate(steps * values)
    return _in_order(running, order)


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """Return adjusted p-values in the order given: reject those <= q.

    The expected share of false rejections is then at most q. Running minimum from the end of
    ``m p(i) / i``, at most 1: Y. Benjamini & Y. Hochberg, JRSS B 57 (1995) 289. Holds under
    independence and under positive dependence, which shared items cause. Raises ValueError for
    anything but numbers between 0 and 1.
    """
    values, order = _ascending(p)
    m = len(values)
    scaled = values * m / np.arange(1, m + 1)
    from_end = np.minimum.accumulate(scaled[::-1])
    return _in_order(from_end[::-1], order)


def _ascending(p: Sequence[float] | Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the p-values in ascending order, and the place that each had before."""
    values = np.asarray(p, dtype=float)
    is_chance = (values >= 0) & (values <= 1)
    if values.ndim != 1 or not np.all(is_chance):
        raise ValueError("p-values are a flat list of numbers between 0 and 1")
    order = np.argsort(values, kind="stable")
    return values[order], order


def _in_order(adjusted: Floats, order: NDArray[np.intp]) -> Floats:
    """Return adjusted p-values, cut at 1, in the places that they had before sorting."""
    result = np.empty_like(adjusted)
    result[order] = np.minimum(adjusted, 1.0)
    return result
