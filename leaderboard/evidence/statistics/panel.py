"""A panel of clean reference models, and what it expects of a model with a given private score.

Aggregate method A: with x = logit(private) and y = logit(public), each reference r follows
``y_r = b0 + b1 x_r + b2 x_r² + u_r + e_r``, where Var e_r = V(y_r) + f'(x_r)² V(x_r) is sampling and Var u_r = τ² is
each model's own bent, by Paule–Mandel. The idea is ConStat's (J. Dekoninck, M. N. Müller & M. Vechev, NeurIPS 2024),
in closed form.

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
"""With fewer, power is poor and a contaminated one cannot be told: a page shows the raw gap only."""


@dataclass(frozen=True)
class Panel:
    """A fitted curve: coefficients (3,) about ``centre``, their covariance (3, 3), τ², who is in and who put aside."""

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
        """The rows (len(x), 3) that the coefficients multiply."""
        return powers(x - self.centre)

    def expected(self, x: Floats) -> Floats:
        """The public logit expected at private logits ``x``."""
        # Element by element: a model by itself must get the very bits that it gets among ten thousand.
        return np.asarray(self._terms(self.coefficients, self.design(x)))

    def uncertainty(self, x: Floats) -> Floats:
        """The variance ``aᵀ Cov(b) a`` of the expected logit at ``x``."""
        rows = self.design(x)
        return np.asarray(
            sum(rows[:, i] * self._terms(self.covariance[i], rows) for i in range(CURVE))
        )

    @staticmethod
    def _terms(factors: Floats, rows: Floats) -> Floats:
        return np.asarray(sum(factors[i] * rows[:, i] for i in range(CURVE)))

    def slope(self, x: Floats) -> Floats:
        """The curve's slope at ``x``."""
        return np.asarray(self.coefficients[1] + 2 * self.coefficients[2] * (x - self.centre))


def fit_panel(references: Sequence[Sides], *, robust: bool = True) -> Panel:
    """The curve of a panel, (m) references; ``robust`` puts those aside first that look contaminated.

    Raises ``ValueError`` for fewer than five references.
    """
    if len(references) < FEWEST_FITTED:
        raise ValueError("a panel needs five references or more")
    data = logits(references)
    everyone = np.arange(len(references))
    far = contaminated(data) if robust else np.zeros(len(references), dtype=bool)
    return _fit(data, everyone[~far], everyone[far])


def _fit(data: Logits, used: NDArray[np.intp], aside: NDArray[np.intp]) -> Panel:
    x, y, vx, vy = (side[used] for side in data)
    centre = float(x.mean())
    design = powers(x - centre)
    b: Floats = np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=float)
    tau2 = 0.0
    for _ in range(2):
        v = vy + (b[1] + 2 * b[2] * (x - centre)) ** 2 * vx
        tau2 = paule_mandel(y, v, design)
        w = 1 / (v + tau2)
        covariance: Floats = np.asarray(
            np.linalg.pinv(design.T @ (design * w[:, None])), dtype=float
        )
        b = covariance @ (design.T @ (w * y))
    return Panel(b, covariance, tau2, centre, tuple(used.tolist()), tuple(aside.tolist()))
