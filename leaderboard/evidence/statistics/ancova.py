"""Method B: adjusted gap from the items themselves, by a score test against a panel.

- Each reference has a contrast δ between its public and private answers, of which the easiness of
  the items is taken out (``contrasts``). References that look contaminated by it are put aside.
- The contrasts give the expectation δ₀ for a clean model of the target's ability, with its
  variance v (``calibration``).
- The target is tested at δ = δ₀ by the score statistic: U is the number of its right public
  answers less that expected, I the efficient information of the public indicator (C. R. Rao, Proc.
  Camb. Phil. Soc. 44 (1948) 50; efficient score as in D. R. Cox & D. V. Hinkley, Theoretical
  Statistics (1974), section 9.3). ``t = U / √(I + I² v)``, on the calibration's degrees of freedom.

The model is fitted at the null only, so t is finite for a model with every public item right, and
grows with each right public answer. (A Wald statistic vanishes there.)
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtr, stdtrit

from leaderboard.evidence.statistics.calibration import (
    FEWEST_VOTES,
    Calibration,
    calibrate,
    distrusted,
    lineage_numbers,
)
from leaderboard.evidence.statistics.contrasts import (
    Cells,
    cells,
    leave_one_out_contrasts,
    logistic,
)
from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.logits import Floats, Logits, Sides, logits
from leaderboard.evidence.statistics.power import ALPHA, POWER, visible

FURTHEST = 20.0
"""Largest shift, in logits, at which an interval is searched: all right or all wrong."""
STEPS = 60
TOLERANCE = 1e-7
"""Accuracy of the ends of an interval, in logits."""


@dataclass(frozen=True)
class ItemPanel:
    """References of method B and their calibration.

    ``outcomes`` (used, n) are those of the references that are not put aside; ``public`` (n,)
    marks public items.
    """

    outcomes: Floats
    public: NDArray[np.bool_]
    calibration: Calibration
    put_aside: tuple[int, ...]

    def covers(self, private: ArrayLike) -> bool:
        """Return True if a model's private outcomes (n2,) are not beyond those of the panel."""
        outcomes = np.asarray(private, dtype=float)
        answered = outcomes[np.isfinite(outcomes)]
        # The public side does not matter here.
        sides = Sides(
            public_right=0,
            public_n=1,
            private_right=float(answered.sum()),
            private_n=len(answered),
        )
        ability = logits([sides])
        covered = self.calibration.covers(ability.x, ability.vx)
        return bool(covered[0])


@dataclass(frozen=True)
class ItemGap:
    """Adjusted gap from item outcomes, as a fraction, and the test behind it.

    - ``p`` is one-sided, on ``freedom`` degrees of freedom;
    - ``se`` is the standard error √(1/I + v) of the contrast, in logits;
    - ``expected`` is the contrast δ₀ of a clean model, in logits.
    """

    gap: float
    interval: Interval
    t: float
    p: float
    freedom: int
    se: float
    expected: float
    put_aside: tuple[int, ...]
    predictor: Floats = field(repr=False, compare=False)
    """Linear predictor of each public cell of a model without excess, (cells,)."""
    weight: Floats = field(repr=False, compare=False)
    """Number of public items in each cell, (cells,)."""

    @property
    def visible(self) -> float:
        """Smallest gap that a test of this model alone finds."""
        return self.visible_at(ALPHA)

    def visible_at(self, alpha: float, power: float = POWER) -> float:
        """Return the smallest gap that a one-sided test at ``alpha`` finds with ``power``."""
        shift = visible(self.se, alpha, power, self.freedom)
        lifted = expit(self.predictor + shift) - expit(self.predictor)
        total = (lifted * self.weight).sum()
        return float(total / self.weight.sum())


@dataclass(frozen=True)
class _Scores:
    """Score tests of one model at K contrasts, (K,).

    ``predictor`` (K, cells) is that of the public cells, ``coefficients`` (K, 3) are the model's.
    """

    t: Floats
    information: Floats
    predictor: Floats
    coefficients: Floats


def item_panel(
    public: ArrayLike,
    private: ArrayLike,
    lineages: Sequence[Hashable] | None = None,
    *,
    robust: bool = True,
) -> ItemPanel:
    """Return the panel of m references with outcomes ``public`` (m, n1) and ``private`` (m, n2).

    Outcomes are 0, 1, a share between or missing (NaN). Without ``lineages`` each reference is of
    its own. ``robust`` puts aside the references that look contaminated. Raises ValueError for
    fewer than four lineages.
    """
    public_side = np.atleast_2d(np.asarray(public, dtype=float))
    private_side = np.atleast_2d(np.asarray(private, dtype=float))
    outcomes = np.concatenate([public_side, private_side], axis=1)
    is_public = np.arange(outcomes.shape[1]) < public_side.shape[1]
    numbers = lineage_numbers(lineages, len(outcomes))
    if len(np.unique(numbers)) < FEWEST_VOTES:
        raise ValueError("calibration needs references of four lineages or more")
    sides = [_counts(row, is_public) for row in outcomes]
    ability = logits(sides)
    put_aside = np.zeros(len(outcomes), dtype=bool)
    delta, se = leave_one_out_contrasts(outcomes, is_public)
    if robust:
        data = Logits(
            x=ability.x,
            y=delta,
            vx=np.zeros_like(se),
            vy=se**2,
        )
        put_aside = distrusted(data, numbers)
    used = ~put_aside
    if put_aside.any():
        delta, se = leave_one_out_contrasts(outcomes[used], is_public)
    calibration = calibrate(
        x=ability.x[used],
        contrasts=delta,
        variance=se**2,
        x_variance=ability.vx[used],
        lineages=numbers[used].tolist(),
    )
    places = np.flatnonzero(put_aside)
    return ItemPanel(
        outcomes=outcomes[used],
        public=is_public,
        calibration=calibration,
        put_aside=tuple(places.tolist()),
    )


def item_gap_against(
    panel: ItemPanel,
    public: ArrayLike,
    private: ArrayLike,
    level: float = LEVEL,
) -> ItemGap:
    """Return the adjusted gap of a model that is not in the panel, by its outcomes.

    Raises ValueError unless the outcomes are of the panel's items.
    """
    critical_value(level)
    public_side = np.asarray(public, dtype=float).ravel()
    private_side = np.asarray(private, dtype=float).ravel()
    own = np.concatenate([public_side, private_side])
    has_all_items = own.shape == panel.public.shape
    if not has_all_items or len(public_side) != panel.public.sum():
        raise ValueError("target and references need the outcomes of the same items")
    answered = np.isfinite(panel.outcomes)
    right_answers = np.where(answered, panel.outcomes, 0.0)
    right = right_answers.sum(axis=0)
    asked = answered.sum(axis=0)
    grouped = cells(
        outcomes=own[None],
        right=right[None],
        asked=asked[None],
        public=panel.public,
    )
    calibration = panel.calibration
    sides = _counts(own, panel.public)
    ability = logits([sides]).x
    expected = float(calibration.expected(ability)[0])
    uncertainty = float(calibration.uncertainty(ability)[0])
    variance = calibration.tau2 + uncertainty
    gap = gap_at(grouped, expected, variance, calibration.freedom, level)
    return replace(gap, put_aside=panel.put_aside)


def gap_at(
    grouped: Cells,
    expected: float,
    variance: float,
    freedom: int,
    level: float = LEVEL,
) -> ItemGap:
    """Return the adjusted gap of the one model of ``grouped`` from a contrast with a variance."""
    null = _scores(grouped, np.array([expected]), variance)
    t = float(null.t[0])
    reach = float(stdtrit(freedom, (1 + level) / 2))
    targets = np.array([0.0, reach, -reach])
    shifts = _inverted(grouped, expected, variance, targets)
    ends = _scores(grouped, expected + shifts, variance).predictor
    is_public = grouped.public == 1
    weight = grouped.trials[0, is_public]
    without_shifts = ends - shifts[:, None]
    share = expit(ends) - expit(without_shifts)
    gap, low, high = (share @ weight) / weight.sum()
    se = np.sqrt(1 / null.information[0] + variance)
    return ItemGap(
        gap=float(gap),
        interval=Interval(float(low), float(high)),
        t=t,
        p=float(stdtr(freedom, -t)),
        freedom=freedom,
        se=float(se),
        expected=expected,
        put_aside=(),
        predictor=ends[0] - shifts[0],
        weight=weight,
    )


def item_gap(
    target: tuple[ArrayLike, ArrayLike],
    references: tuple[ArrayLike, ArrayLike],
    level: float = LEVEL,
    *,
    lineages: Sequence[Hashable] | None = None,
    robust: bool = True,
) -> ItemGap:
    """Return the adjusted gap of ``target`` against ``references``, both (public, private).

    As :func:`item_panel` and :func:`item_gap_against`.
    """
    panel = item_panel(*references, lineages, robust=robust)
    return item_gap_against(panel, *target, level)


class ContrastTest(NamedTuple):
    """Score test at one contrast: t, its one-sided p, and the standard error √(1/I + v)."""

    t: float
    p: float
    se: float


def score_test_at(
    grouped: Cells,
    contrast: float,
    variance: float,
    freedom: int,
) -> ContrastTest:
    """Return the score test of the one model of ``grouped`` at a contrast with a variance."""
    scores = _scores(grouped, np.array([contrast]), variance)
    t = float(scores.t[0])
    se = np.sqrt(1 / scores.information[0] + variance)
    return ContrastTest(
        t=t,
        p=float(stdtr(freedom, -t)),
        se=float(se),
    )


def _counts(row: Floats, public: NDArray[np.bool_]) -> Sides:
    answered = np.isfinite(row)
    right = np.where(answered, row, 0.0)
    private = ~public
    return Sides(
        public_right=float(right[public].sum()),
        public_n=int(answered[public].sum()),
        private_right=float(right[private].sum()),
        private_n=int(answered[private].sum()),
    )


def _scores(
    grouped: Cells,
    contrasts: Floats,
    variance: float,
    start: Floats | None = None,
) -> _Scores:
    """Return the score tests of the one model of ``grouped`` at each of K contrasts."""
    shape = (len(contrasts), grouped.hits.shape[1])
    hits = np.broadcast_to(grouped.hits, shape)
    trials = np.broadcast_to(grouped.trials, shape)
    design = np.broadcast_to(grouped.design(), (*shape, 3))
    offset = contrasts[:, None] * grouped.public
    fit = logistic(design, hits, trials, offset, start)
    p = fit.chances
    weights = trials * p * (1 - p) * grouped.public
    residuals = hits - trials * p
    score = (residuals * grouped.public).sum(axis=1)
    products = weights[:, None] @ design
    shared = products[:, 0]
    solved = np.linalg.solve(fit.information, shared[..., None])
    explained = shared * solved[..., 0]
    information = weights.sum(axis=1) - explained.sum(axis=1)
    of_items = design @ fit.coefficients[..., None]
    predictor = of_items[..., 0] + offset
    is_public = grouped.public == 1
    of_score = information + information**2 * variance
    return _Scores(
        t=score / np.sqrt(of_score),
        information=information,
        predictor=predictor[:, is_public],
        coefficients=fit.coefficients,
    )


def _inverted(
    grouped: Cells,
    expected: float,
    variance: float,
    targets: Floats,
) -> Floats:
    """Return the shifts from ``expected`` at which t falls to each of ``targets``.

    By Newton steps of all at once, halving where a step leaves the bracket; t falls as the contrast
    of the null grows. At most ``FURTHEST``.
    """
    low = np.full(len(targets), -FURTHEST)
    high = np.full(len(targets), FURTHEST)
    shifts = np.zeros(len(targets))
    start = None
    for _ in range(STEPS):
        at = _scores(grouped, expected + shifts, variance, start)
        start = at.coefficients
        above = at.t > targets
        low = np.where(above, shifts, low)
        high = np.where(above, high, shifts)
        se = np.sqrt(1 / at.information + variance)
        newton = shifts + (at.t - targets) * se
        inside = (newton > low) & (newton < high)
        middle = (low + high) / 2
        closer = np.where(inside, newton, middle)
        largest_step = np.abs(closer - shifts).max()
        shifts = closer
        if largest_step < TOLERANCE:
            break
    return shifts
