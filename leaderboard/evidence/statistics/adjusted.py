"""Adjusted gap of one model against a panel, and of each reference against the others."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtr, stdtrit

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.logits import Sides, logits
from leaderboard.evidence.statistics.panel import Panel, fit_panel
from leaderboard.evidence.statistics.power import POWER, visible


@dataclass(frozen=True)
class AdjustedGap:
    """Public score of a model less that of clean models with its private score, as a fraction.

    - ``p`` is one-sided, on ``freedom`` degrees of freedom;
    - ``se`` is the standard error of the test, in logits;
    - ``visible`` is the smallest gap that this test finds with a power of 80%;
    - ``put_aside`` are the places of the references that look contaminated.
    """

    gap: float
    interval: Interval
    t: float
    p: float
    freedom: int
    se: float
    visible: float
    expected: float
    tau2: float
    put_aside: tuple[int, ...]

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.interval.low

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval.high

    def visible_at(self, alpha: float, power: float = POWER) -> float:
        """Return the smallest gap that a one-sided test at ``alpha`` finds with ``power``."""
        shift = visible(self.se, alpha, power, self.freedom)
        lifted = expit(logit(self.expected) + shift)
        return float(lifted) - self.expected


def adjusted_gap(
    target: Sides | Sequence[int],
    references: Sequence[Sides] | Sequence[Sequence[int]],
    level: float = LEVEL,
    *,
    lineages: Sequence[Hashable] | None = None,
) -> AdjustedGap:
    """Return the adjusted gap of ``target`` against ``references``, by a robustly fitted panel.

    Both are (public right, public n, private right, private n). The target must not be a
    reference. Without ``lineages`` each reference is of its own. Raises
    ValueError for fewer than four lineages and for impossible counts.
    """
    sides = [Sides(*reference) for reference in references]
    panel = fit_panel(sides, lineages)
    return gaps_against(panel, [Sides(*target)], level)[0]


def gaps_against(panel: Panel, targets: Sequence[Sides], level: float = LEVEL) -> list[AdjustedGap]:
    """Return the adjusted gaps of models, none of which is in the panel.

    ``t = (y - f(x)) / √(V(y) + f'(x)² V(x) + τ² + Var f(x))`` on the calibration's degrees of
    freedom. The interval is ``public - expit(f(x) ± t se)``.

    Raises ValueError for impossible counts.
    """
    critical_value(level)
    if not targets:
        return []
    x, y, vx, vy = logits(targets)
    curve = panel.expected(x)
    of_private = panel.slope(x) ** 2 * vx
    variance = vy + of_private + panel.tau2 + panel.calibration.uncertainty(x)
    se = np.sqrt(variance)
    t = (y - curve) / se
    p = stdtr(panel.freedom, -t)
    critical = stdtrit(panel.freedom, (1 + level) / 2)
    reach = critical * se
    public = np.array([target.public_share for target in targets])
    expected = expit(curve)
    low = public - expit(curve + reach)
    high = public - expit(curve - reach)
    smallest = expit(curve + visible(1.0) * se) - expected
    return [
        AdjustedGap(
            gap=float(public[i] - expected[i]),
            interval=Interval(float(low[i]), float(high[i])),
            t=float(t[i]),
            p=float(p[i]),
            freedom=panel.freedom,
            se=float(se[i]),
            visible=float(smallest[i]),
            expected=float(expected[i]),
            tau2=panel.tau2,
            put_aside=panel.put_aside,
        )
        for i in range(len(targets))
    ]
