"""Bounds of a test that is looked at several times, one-sided.

The level is spent as the information grows, by the function of O'Brien and Fleming's type
``α(τ) = 2 - 2 Φ(z₁₋α/₂ / √τ)`` (K. K. G. Lan & D. L. DeMets, Biometrika 70 (1983) 659): little at
the first look, nearly all at the last. The bounds follow by numerical integration of the score
process between looks (P. Armitage, C. K. McPherson & B. C. Rowe, JRSS A 132 (1969) 235).
"""

from collections.abc import Sequence
from math import inf, sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from leaderboard.evidence.statistics.logits import Floats

LEAST_STEP = 1e-3
"""Share of the information below which a look adds nothing, and has no bound of its own."""
POINTS = 601
REACH = 8.0
"""Standard errors below zero at which the integration begins."""


def spending_bounds(information: Sequence[float] | Floats, level: float) -> Floats:
    """Return the bound of z at each look, infinite where a look adds no information.

    ``information`` (looks,) ascends, in any unit; the last look spends the whole level. Under the
    null hypothesis the chance to pass any bound is ``level``. Raises ValueError for a level outside
    (0, 1) and for information that is not positive or falls.
    """
    known = np.asarray(information, dtype=float)
    if not 0 < level < 1:
        raise ValueError("a level lies between 0 and 1")
    if known.ndim != 1 or len(known) == 0:
        raise ValueError("information is positive and does not fall")
    falls = np.any(np.diff(known) < 0)
    if known[0] <= 0 or falls:
        raise ValueError("information is positive and does not fall")
    shares = known / known[-1]
    z = ndtri(1 - level / 2) / np.sqrt(shares)
    to_spend = 2 * (1 - ndtr(z))
    bounds = np.full(len(shares), inf)
    process = _Process()
    spent = 0.0
    last = len(shares) - 1
    for look, share in enumerate(shares):
        until_look = float(to_spend[look])
        wanted = until_look - spent
        if wanted <= 0:
            continue
        added = share - process.time
        if added < LEAST_STEP and look != last:
            continue
        bounds[look] = process.advance(float(share), wanted)
        spent = until_look
    return bounds


class _Process:
    """Score process that has passed no bound yet: its density on a grid at the last look."""

    def __init__(self) -> None:
        self.time = 0.0
        self._grid: Floats = np.zeros(1)
        self._mass: Floats = np.ones(1)

    def advance(self, time: float, wanted: float) -> float:
        """Move to ``time``; return the bound of z that is passed first there with chance
        ``wanted``."""
        added = max(time - self.time, LEAST_STEP**2)
        step = sqrt(added)
        root_time = sqrt(time)

        def excess(bound: float) -> float:
            distances = (self._grid - bound * root_time) / step
            passed = self._mass * ndtr(distances)
            return float(passed.sum()) - wanted

        bound = float(brentq(excess, -REACH, 2 * REACH))
        grid = np.linspace(-REACH * root_time, bound * root_time, POINTS)
        distances = (grid[:, None] - self._grid[None]) / step
        scale = step * sqrt(2 * np.pi)
        transition = np.exp(-0.5 * distances**2) / scale
        density = transition @ self._mass
        weights = np.full(POINTS, grid[1] - grid[0])
        weights[[0, -1]] /= 2
        self._grid = grid
        self._mass = density * weights
        self.time = time
        return bound
