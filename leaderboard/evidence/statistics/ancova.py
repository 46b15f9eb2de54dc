"""Method B: adjusted gap from the items themselves, calibrated on the references.

- Each model has ``logit P(right_i) = a + b1 s_i + b2 s_i² + δ·[i public]``, where s_i is the
  standardised log odds that the references answer item i. This is an analysis of covariance with a
  logistic link.
- δ is fitted for the model and for each reference in turn. The easiness of an item is that
  among the other references.
- The mean μ0 and the spread τ² of the references' δ are those of clean models (DerSimonian &
  Laird).

The δ of one model alone must not be tested: with 5 to 12 references that test is wrong 14 to 28
times in 100.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtr, stdtrit

from leaderboard.evidence.statistics.contamination import contaminated
from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.logits import Floats, Sides, logits
from leaderboard.evidence.statistics.meta import der_simonian_laird
from leaderboard.evidence.statistics.power import POWER, visible

FEWEST_REFERENCES = 5
NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-8
RIDGE = 1e-4
"""Weak pull to zero, in squared logits of precision, for models with all items right."""


@dataclass(frozen=True)
class Calibrated:
    """Contrast compared with the same contrast of each reference.

    ``p`` is one-sided, ``se`` the standard error of the test.
    """

    excess: float
    se: float
    t: float
    p: float
    freedom: int
    mean: float
    tau2: float


@dataclass(frozen=True)
class ItemGap:
    """Adjusted gap from item outcomes, as a fraction, and the test behind it, in logits."""

    gap: float
    interval: Interval
    visible: float
    test: Calibrated
    put_aside: tuple[int, ...]
    predictor: Floats = field(repr=False, compare=False)
    """Linear predictor of each public cell of a model without excess, (cells,)."""
    weight: Floats = field(repr=False, compare=False)
    """Number of public items in each cell, (cells,)."""

    @property
    def p(self) -> float:
        """One-sided p-value of the calibrated test."""
        return self.test.p

    @property
    def se(self) -> float:
        """Standard error of the calibrated test, in logits."""
        return self.test.se

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the calibrated test."""
        return self.test.freedom

    def visible_at(self, alpha: float, power: float = POWER) -> float:
        """Return the smallest gap that a one-sided test at ``alpha`` finds with ``power``."""
        shift = visible(self.se, alpha, power, self.freedom)
        lifted = expit(self.predictor + shift) - expit(self.predictor)
        return float((lifted * self.weight).sum() / self.weight.sum())


@dataclass(frozen=True)
class _Fit:
    delta: float
    se: float
    predictor: Floats
    """Linear predictor of each public cell, (cells,)."""
    weight: Floats
    """Number of public items in each cell, (cells,)."""


def calibrate(
    excess: float, se: float, references: Sequence[float], errors: Sequence[float]
) -> Calibrated:
    """Compare a contrast with those of m references.

    ``t = (δ - μ0)/√(se² + τ² + Var μ0)`` on m - 1 degrees of freedom. Raises ValueError for fewer
    than five references or an error that is not positive.
    """
    if len(references) < FEWEST_REFERENCES:
        raise ValueError("calibration needs five references or more")
    pooled = der_simonian_laird(references, np.square(np.asarray(errors, dtype=float)))
    total = float(np.sqrt(se**2 + pooled.tau2 + pooled.se**2))
    freedom = len(references) - 1
    t = (excess - pooled.estimate) / total
    return Calibrated(
        excess=excess - pooled.estimate,
        se=total,
        t=t,
        p=float(stdtr(freedom, -t)),
        freedom=freedom,
        mean=pooled.estimate,
        tau2=pooled.tau2,
    )


def item_gap(
    target: tuple[ArrayLike, ArrayLike],
    references: tuple[ArrayLike, ArrayLike],
    level: float = LEVEL,
    *,
    robust: bool = True,
) -> ItemGap:
    """Return the adjusted gap of ``target`` against ``references`` by item outcomes.

    Shapes: target (public (n1,), private (n2,)), references ((m, n1), (m, n2)). Outcomes are 0, 1
    or missing (NaN); an item counts for those who answered it. ``robust`` puts aside the references
    that look contaminated by their counts.

    Raises ValueError for shapes that do not fit and for fewer than five references left.
    """
    critical_value(level)
    own = np.concatenate([np.asarray(side, dtype=float) for side in target])
    sides = [np.atleast_2d(np.asarray(side, dtype=float)) for side in references]
    others = np.concatenate(sides, axis=1)
    if own.shape != others.shape[1:]:
        raise ValueError("target and references need the outcomes of the same items")
    public = np.arange(len(own)) < sides[0].shape[1]
    put_aside = np.zeros(len(others), dtype=bool)
    if robust:
        put_aside = contaminated(logits([_counts(row, public) for row in others]))
    panel = others[~put_aside]
    right = np.nansum(panel, axis=0)
    asked = np.isfinite(panel).sum(axis=0)
    fits = []
    for row in panel:
        answered = np.isfinite(row)
        without_it = right - np.where(answered, row, 0.0)
        fits.append(_fit_contrast(row, without_it, asked - answered, public))
    target_fit = _fit_contrast(own, right, asked, public)
    deltas = [fit.delta for fit in fits]
    errors = [fit.se for fit in fits]
    test = calibrate(target_fit.delta, target_fit.se, deltas, errors)
    return _as_fraction(target_fit, test, level, tuple(np.flatnonzero(put_aside).tolist()))


def _counts(row: Floats, public: NDArray[np.bool_]) -> Sides:
    answered = np.isfinite(row)
    right = np.where(answered, row, 0.0)
    return Sides(
        public_right=int(right[public].sum()),
        public_n=int(answered[public].sum()),
        private_right=int(right[~public].sum()),
        private_n=int(answered[~public].sum()),
    )


def _fit_contrast(
    outcomes: Floats, right: Floats, asked: Floats, public: NDArray[np.bool_]
) -> _Fit:
    """Fit δ of one model.

    Items that are equally easy and on the same side form a cell: there are about as many cells as
    references, far fewer than items.
    """
    counted = np.isfinite(outcomes) & (asked > 0)
    easiness = np.log((right[counted] + 0.5) / (asked[counted] - right[counted] + 0.5))
    spread = float(easiness.std())
    standardised = (easiness - easiness.mean()) / (spread if spread > 0 else 1.0)
    levels, level_of = np.unique(np.round(standardised, 12), return_inverse=True)
    cell = level_of * 2 + public[counted]
    cells = 2 * len(levels)
    trials = np.bincount(cell, minlength=cells).astype(float)
    hits = np.bincount(cell, weights=outcomes[counted], minlength=cells).astype(float)
    filled = trials > 0
    s = np.repeat(levels, 2)[filled]
    is_public = np.tile([0.0, 1.0], len(levels))[filled]
    design = np.stack([np.ones_like(s), s, s**2, is_public], axis=1)
    beta, covariance = _logistic(design, hits[filled], trials[filled])
    on_public = is_public == 1
    return _Fit(
        delta=float(beta[3]),
        se=float(np.sqrt(covariance[3, 3])),
        predictor=design[on_public] @ beta,
        weight=trials[filled][on_public],
    )


def _logistic(design: Floats, hits: Floats, trials: Floats) -> tuple[Floats, Floats]:
    """Return coefficients and covariance by Newton's method, with a weak ridge."""
    size = design.shape[1]
    ridge = RIDGE * np.eye(size)
    beta = np.zeros(size)
    covariance: Floats = ridge
    for _ in range(NEWTON_STEPS):
        p = expit(design @ beta)
        information = (design * (trials * p * (1 - p))[:, None]).T @ design + ridge
        covariance = np.asarray(np.linalg.inv(information), dtype=float)
        step = covariance @ (design.T @ (hits - trials * p) - RIDGE * beta)
        # Far from the maximum a full step may overshoot to where the likelihood is flat.
        step *= min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        beta = beta + step
        if np.abs(step).max() < NEWTON_TOLERANCE:
            break
    return beta, covariance


def _as_fraction(fit: _Fit, test: Calibrated, level: float, put_aside: tuple[int, ...]) -> ItemGap:
    """Convert the excess in logits to a difference of shares over the public items."""

    def share(shift: float) -> float:
        return float((expit(fit.predictor + shift) * fit.weight).sum() / fit.weight.sum())

    reach = float(stdtrit(test.freedom, (1 + level) / 2)) * test.se
    observed = share(0.0)
    expected = share(-test.excess)
    low = observed - share(reach - test.excess)
    high = observed - share(-reach - test.excess)
    smallest = share(visible(1.0) * test.se - test.excess) - expected
    return ItemGap(
        gap=observed - expected,
        interval=Interval(low, high),
        visible=smallest,
        test=test,
        put_aside=put_aside,
        predictor=fit.predictor - test.excess,
        weight=fit.weight,
    )
