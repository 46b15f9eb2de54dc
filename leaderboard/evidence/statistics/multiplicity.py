"""Many tests at once: Holm for the hard word, Benjamini–Hochberg for the watch list."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def _ordered(p: Sequence[float] | Floats) -> tuple[Floats, NDArray[np.intp]]:
    values = np.asarray(p, dtype=float)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError("p-values are a flat list of numbers between 0 and 1")
    order = np.argsort(values, kind="stable")
    return values[order], order


def holm(p: Sequence[float] | Floats) -> Floats:
    """Adjusted p-values, in the order given: reject those <= α to hold the chance of any false word at α.

    The running maximum of ``(m - i + 1) p(i)``, at most 1: S. Holm, Scand. J. Stat. 6 (1979) 65.
    Raises ``ValueError`` for anything but numbers between 0 and 1.
    """
    values, order = _ordered(p)
    adjusted = np.empty_like(values)
    steps = np.arange(len(values), 0, -1)
    adjusted[order] = (
        np.minimum(np.maximum.accumulate(steps * values), 1.0) if len(values) else values
    )
    return adjusted


def benjamini_hochberg(p: Sequence[float] | Floats) -> Floats:
    """Adjusted p-values, in the order given: reject those <= q to hold the expected share of false words at q.

    The running minimum from the end of ``m p(i) / i``, at most 1: Y. Benjamini & Y. Hochberg, JRSS B 57 (1995) 289.
    Holds under independence and under positive dependence, which shared items make.
    Raises ``ValueError`` for anything but numbers between 0 and 1.
    """
    values, order = _ordered(p)
    adjusted = np.empty_like(values)
    m = len(values)
    scaled = values * m / np.arange(1, m + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0) if m else values
    return adjusted
