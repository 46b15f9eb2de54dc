"""The adjusted gap of one model against a panel, and each reference against the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, stdtr, stdtrit

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.logits import Sides, logits
from leaderboard.evidence.statistics.panel import Panel, fit_panel
from leaderboard.evidence.statistics.power import visible


@dataclass(frozen=True)
class AdjustedGap:
    """How much better a model does on the public set than clean models of its private score, as a fraction.

    ``p`` is one-sided, on ``freedom`` degrees of freedom; ``se`` is that of the test, in logits; ``visible`` the
    smallest gap that this test would find four times in five; ``put_aside`` the panel's references not trusted.
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
        """The interval's lower end."""
        return self.interval.low

    @property
    def high(self) -> float:
        """The interval's upper end."""
        return self.interval.high


def adjusted_gap(
    target: Sides | Sequence[int],
    references: Sequence[Sides] | Sequence[Sequence[int]],
    level: float = LEVEL,
) -> AdjustedGap:
    """The adjusted gap of ``target``, (public right, public n, private right, private n), against ``references``.

    The panel is fitted robustly. The target must not be among the references; see :func:`leave_one_out`.
    Raises ``ValueError`` for fewer than five references and for counts that cannot be.
    """
    panel = fit_panel([Sides(*one) for one in references])
    return gaps_against(panel, [Sides(*target)], level)[0]


def gaps_against(panel: Panel, targets: Sequence[Sides], level: float = LEVEL) -> list[AdjustedGap]:
    """The adjusted gaps of many models, none of them in the panel.

    ``t = (y - f(x)) / √(V(y) + f'(x)² V(x) + τ² + aᵀ Cov(b) a)`` on m - 3 degrees of freedom; the interval is
    ``public - expit(f(x) ± t se)``. Raises ``ValueError`` for counts that cannot be.
    """
    critical_value(level)
    if not targets:
        return []
    x, y, vx, vy = logits(targets)
    f = panel.expected(x)
    se = np.sqrt(vy + panel.slope(x) ** 2 * vx + panel.tau2 + panel.uncertainty(x))
    t = (y - f) / se
    reach = stdtrit(panel.freedom, (1 + level) / 2) * se
    public = np.array([one.public_right / one.public_n for one in targets])
    expected = expit(f)
    columns = (
        public - expected,
        public - expit(f + reach),
        public - expit(f - reach),
        t,
        stdtr(panel.freedom, -t),
        se,
        expit(f + visible(1.0) * se) - expected,
        expected,
    )
    return [
        AdjustedGap(
            gap,
            Interval(low, high),
            t_,
            p,
            panel.freedom,
            se_,
            seen,
            at,
            panel.tau2,
            panel.put_aside,
        )
        for gap, low, high, t_, p, se_, seen, at in zip(
            *(column.tolist() for column in columns), strict=True
        )
    ]


def leave_one_out(references: Sequence[Sides], level: float = LEVEL) -> list[AdjustedGap]:
    """Each reference against the others: the evidence that a panel is clean, and how well the test is calibrated.

    ``put_aside`` counts in the whole panel's places. Raises ``ValueError`` for fewer than six references.
    """
    found = []
    for place, one in enumerate(references):
        others = [*references[:place], *references[place + 1 :]]
        panel = fit_panel(others)
        aside = tuple(other + (other >= place) for other in panel.put_aside)
        moved = Panel(
            panel.coefficients, panel.covariance, panel.tau2, panel.centre, panel.used, aside
        )
        found += gaps_against(moved, [one], level)
    return found
