"""Panel of clean reference models, and the public score it expects for a private score.

Aggregate method A, with x = logit(private) and y = logit(public):

- each reference r follows ``y_r = b0 + b1 x_r + b2 x_r² + u_r + e_r``;
- Var e_r = V(y_r) + f'(x_r)² V(x_r) is the sampling variance;
- Var u_r = τ² is the models' own spread, by Paule and Mandel.

The idea is that of ConStat (J. Dekoninck, M. N. Müller & M. Vechev, NeurIPS 2024), in closed form.
References that look contaminated are put aside first; see ``contamination``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.evidence.statistics.contamination import CURVE, contaminated
from leaderboard.evidence.statistics.logits import Floats, Logits, Sides, logits, powers
from leaderboard.evidence.statistics.meta import paule_mandel

FEWEST_FITTED = CURVE + 2
FEWEST_REFERENCES = 8
"""Number of references below which pages show the raw gap only.

With fewer, power is poor and a contaminated reference cannot be recognised.
"""


@dataclass(frozen=True)
class Panel:
    """Fitted curve of a panel.

    - ``coefficients`` (3,) about ``centre``, with their ``covariance`` (3, 3);
    - ``tau2`` is the spread τ² of the models;
    - ``used`` and ``put_aside`` are places of references.
    """

    coefficients: Floats
    covariance: Floats
    tau2: float
    centre: float
    used: tuple[int, ...]
    put_aside: tuple[int, ...]

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a test against this panel."""
        return len(self.used) - CURVE

    def design(self, x: Floats) -> Floats:
        """Return the rows (len(x), 3) that the coefficients multiply."""
        return powers(x - self.centre)

    def expected(self, x: Floats) -> Floats:
        """Return the public logits expected at private logits ``x``."""
        return self._weighted_sum(self.coefficients, self.design(x))

    def uncertainty(self, x: Floats) -> Floats:
        """Return the variance ``aᵀ Cov(b) a`` of the expected logits at ``x``."""
        rows = self.design(x)
        terms = (rows[:, i] * self._weighted_sum(self.covariance[i], rows) for i in range(CURVE))
        return np.asarray(sum(terms))

    def slope(self, x: Floats) -> Floats:
        """Return the curve's slope at ``x``."""
        return np.asarray(self.coefficients[1] + 2 * self.coefficients[2] * (x - self.centre))

    @staticmethod
    def _weighted_sum(factors: Floats, rows: Floats) -> Floats:
        """Multiply row by row: a product of matrices would round differently for many models."""
        return np.asarray(sum(factors[i] * rows[:, i] for i in range(CURVE)))


def fit_panel(references: Sequence[Sides], *, robust: bool = True) -> Panel:
    """Fit the curve of a panel of m references.

    ``robust`` puts aside those first that look contaminated. Raises ValueError for fewer than five
    references.
    """
    if len(references) < FEWEST_FITTED:
        raise ValueError("a panel needs five references or more")
    data = logits(references)
    places = np.arange(len(references))
    put_aside = np.zeros(len(references), dtype=bool)
    if robust:
        put_aside = contaminated(data)
    return _fit(data, places[~put_aside], places[put_aside])


def _fit(data: Logits, used: NDArray[np.intp], put_aside: NDArray[np.intp]) -> Panel:
    """Fit by weighted least squares; the weights depend on the slope, hence the second pass."""
    x, y, vx, vy = (side[used] for side in data)
    centre = float(x.mean())
    design = powers(x - centre)
    b: Floats = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=float)
    tau2 = 0.0
    for _ in range(2):
        variance = vy + (b[1] + 2 * b[2] * (x - centre)) ** 2 * vx
        tau2 = paule_mandel(y, variance, design)
        weights = 1 / (variance + tau2)
        information = design.T @ (design * weights[:, None])
        covariance: Floats = np.asarray(np.linalg.pinv(information), dtype=float)
        b = covariance @ (design.T @ (weights * y))
    return Panel(b, covariance, tau2, centre, tuple(used.tolist()), tuple(put_aside.tolist()))
