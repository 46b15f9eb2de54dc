"""Panel of clean reference models, and the public score it expects for a private score.

Aggregate method A, with x = logit(private) and y = logit(public): the contrast of a reference is
``y - x``, its sampling variance V(y) + f'(x)² V(x), where f(x) is the expected public logit. See
``calibration``.

The idea is that of ConStat (J. Dekoninck, M. N. Müller & M. Vechev, NeurIPS 2024), in closed form.
References that look contaminated are put aside first; see ``contamination``.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.evidence.statistics.calibration import (
    Calibration,
    calibrate,
    distrusted,
    lineage_numbers,
)
from leaderboard.evidence.statistics.logits import Floats, Sides, logits

FEWEST_REFERENCES = 8
"""Number of references below which pages show the raw gap only.

With fewer, power is poor and a contaminated reference cannot be recognised.
"""
LARGEST_DEGREE = 2


@dataclass(frozen=True)
class Panel:
    """Fitted curve of a panel; ``used`` and ``put_aside`` are places of references."""

    calibration: Calibration
    used: tuple[int, ...]
    put_aside: tuple[int, ...]

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a test against this panel."""
        return self.calibration.freedom

    @property
    def tau2(self) -> float:
        """Variance of one model about the curve, in squared logits."""
        return self.calibration.tau2

    def covers(self, models: Sequence[Sides]) -> list[bool]:
        """Return for each model if its private score is not beyond those of the references."""
        data = logits(models)
        covered = self.calibration.covers(data.x, data.vx)
        return [bool(inside) for inside in covered]

    def expected(self, x: Floats) -> Floats:
        """Return the public logits expected at private logits ``x``."""
        return x + self.calibration.expected(x)

    def slope(self, x: Floats) -> Floats:
        """Return the curve's slope at ``x``."""
        return 1.0 + self.calibration.slope(x)


def fit_panel(
    references: Sequence[Sides],
    lineages: Sequence[Hashable] | None = None,
    *,
    robust: bool = True,
) -> Panel:
    """Fit the curve of a panel of m references; without ``lineages`` each is of its own.

    ``robust`` puts aside those first that look contaminated. Raises ValueError for fewer than four
    lineages.
    """
    numbers = lineage_numbers(lineages, len(references))
    data = logits(references)
    put_aside = np.zeros(len(references), dtype=bool)
    if robust and len(references) > 0:
        put_aside = distrusted(data, numbers)
    used = np.flatnonzero(~put_aside)
    x = data.x[used]
    vx = data.vx[used]
    contrasts = data.y[used] - x
    lineage_of = numbers[used].tolist()
    slope = np.ones_like(x)
    # The variances depend on the slope, hence the second pass.
    for _ in range(2):
        calibration = calibrate(
            x=x,
            contrasts=contrasts,
            variance=data.vy[used] + slope**2 * vx,
            x_variance=vx,
            lineages=lineage_of,
            largest_degree=LARGEST_DEGREE,
        )
        slope = 1.0 + calibration.slope(x)
    excluded = np.flatnonzero(put_aside)
    return Panel(
        calibration=calibration,
        used=tuple(used.tolist()),
        put_aside=tuple(excluded.tolist()),
    )
