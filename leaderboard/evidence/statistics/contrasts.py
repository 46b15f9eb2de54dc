"""Logistic models of item outcomes, fitted for many models at once.

Each has ``logit P(right_i) = a + b1 e_i + b2 e_i² + δ·[i public]``. The easiness e_i is the
standardised log odds that other models answer item i. Items that are equally easy and on the same
side form a cell: there are about as many cells as references, far fewer than items.

An outcome may be the share of several samples that are right. Such shares vary less than single
outcomes, by the factor φ that the squared residuals show (quasi-likelihood: P. McCullagh & J. A.
Nelder, Generalized Linear Models (1989), section 4.5), so each item counts as 1/φ of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from leaderboard.evidence.statistics.logits import Floats

NEWTON_STEPS = 40
NEWTON_TOLERANCE = 1e-8
LONGEST_STEP = 5.0
"""Limit of a Newton step: far from the maximum a full one may overshoot to a flat likelihood."""
HALVINGS = 30
ROUNDING = 1e-12
"""Relative fall of a likelihood that may be rounding."""
LEAST_DISPERSION = 0.05
"""Bound of φ for a model whose every item is all right or all wrong, as far as can be seen."""
RIDGE = 1e-4
"""Weak pull to zero, in squared logits of precision, for models with all items right."""


@dataclass(frozen=True)
class Cells:
    """Outcomes of R models by cell, (R, cells); ``public`` (cells,) is 1 for public cells."""

    trials: Floats
    hits: Floats
    easiness: Floats
    public: Floats

    def design(self) -> Floats:
        """Return 1, e and e² of each cell, (R, cells, 3)."""
        e = self.easiness
        return np.stack([np.ones_like(e), e, e * e], axis=-1)


@dataclass(frozen=True)
class Fit:
    """Coefficients (R, q), information (R, q, q) with the ridge, and chances (R, cells)."""

    coefficients: Floats
    information: Floats
    chances: Floats


def cells(outcomes: Floats, right: Floats, asked: Floats, public: NDArray[np.bool_]) -> Cells:
    """Return the cells of R models over n items.

    ``outcomes`` (R, n) are from 0 to 1 or missing; ``right`` and ``asked`` (R, n) count the
    others' answers to each item, right ones of shares rounded. An item that no other answered is
    left out.
    """
    rows = len(outcomes)
    counted = np.isfinite(outcomes) & (asked > 0)
    # An item's cell, by its answers of others and its side, among the cells of all rows.
    base = int(asked.max(initial=0)) + 1
    size = 2 * base**2
    code = (2 * (np.rint(right) * base + asked)).astype(np.intp) + public
    place = (code + size * np.arange(rows)[:, None])[counted]

    def by_cell(weights: Floats | None) -> Floats:
        sums = np.bincount(place, weights=weights, minlength=rows * size)
        return sums.reshape(rows, size).astype(float)

    own = outcomes[counted]
    trials = by_cell(None)
    used = np.flatnonzero(trials.any(axis=0))
    trials = trials[:, used]
    others_right, others_asked = np.divmod(used // 2, base)
    log_odds = np.log((others_right + 0.5) / (others_asked - others_right + 0.5))
    total = np.maximum(trials.sum(axis=1, keepdims=True), 1.0)
    mean = (trials * log_odds).sum(axis=1, keepdims=True) / total
    squared_deviations = trials * (log_odds - mean) ** 2
    spread = np.sqrt(squared_deviations.sum(axis=1, keepdims=True) / total)
    spread[spread == 0] = 1.0
    grouped = Cells(
        trials=trials,
        hits=by_cell(own)[:, used],
        easiness=(log_odds - mean) / spread,
        public=(used % 2).astype(float),
    )
    if np.array_equal(own, own**2):
        return grouped
    return _weighted(grouped, by_cell(own**2)[:, used])


def _weighted(grouped: Cells, squares: Floats) -> Cells:
    """Return the cells with each item counted as 1/φ; ``squares`` (R, cells) are those of outcomes.

    φ is 1 for a model with single outcomes, and never above.
    """
    is_public = np.broadcast_to(grouped.public, grouped.hits.shape)[..., None]
    design = np.concatenate([grouped.design(), is_public], axis=-1)
    p = logistic(design, grouped.hits, grouped.trials, np.zeros_like(grouped.hits)).chances
    residual = (squares - 2 * p * grouped.hits + p**2 * grouped.trials).sum(axis=1)
    expected = (p * (1 - p) * grouped.trials).sum(axis=1)
    single = (squares == grouped.hits).all(axis=1)
    phi = np.where(single | (expected <= 0), 1.0, residual / np.maximum(expected, 1e-12))
    weight = 1 / np.clip(phi, LEAST_DISPERSION, 1.0)[:, None]
    return Cells(grouped.trials * weight, grouped.hits * weight, grouped.easiness, grouped.public)


def logistic(
    design: Floats, hits: Floats, trials: Floats, offset: Floats, start: Floats | None = None
) -> Fit:
    """Fit R models by Newton's method from ``start`` (R, q) or 0, each with the weak ridge.

    ``design`` is (R, cells, q), the others (R, cells). A step that lowers the penalised likelihood
    is halved, so that the fit converges from any start.
    """
    size = design.shape[-1]
    ridge = RIDGE * np.eye(size)
    transposed = np.ascontiguousarray(design.transpose(0, 2, 1))

    def predictor(beta: Floats) -> Floats:
        return np.asarray((design @ beta[..., None])[..., 0] + offset)

    def likelihood(beta: Floats, eta: Floats) -> Floats:
        terms = hits * eta - trials * np.logaddexp(0.0, eta)
        penalty = RIDGE / 2 * (beta**2).sum(axis=1)
        return np.asarray(terms.sum(axis=1) - penalty)

    beta = np.zeros((len(hits), size)) if start is None else start
    eta = predictor(beta)
    reached = likelihood(beta, eta)
    for _ in range(NEWTON_STEPS):
        p = expit(eta)
        weight = trials * p * (1 - p)
        residual = hits - trials * p
        information = (transposed * weight[:, None]) @ design + ridge
        slope = (transposed @ residual[..., None])[..., 0] - RIDGE * beta
        step = np.linalg.solve(information, slope[..., None])[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        step *= np.minimum(1.0, LONGEST_STEP / np.maximum(longest, 1e-12))
        for _ in range(HALVINGS):
            eta = predictor(beta + step)
            climbed = likelihood(beta + step, eta)
            lower = climbed < reached - ROUNDING * np.abs(reached)
            if not lower.any():
                break
            step[lower] /= 2
        beta, reached = beta + step, climbed
        if longest.max() < NEWTON_TOLERANCE:
            break
    return Fit(beta, information, p)


def leave_one_out_contrasts(outcomes: Floats, public: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return δ and its standard error for each of m models, (m,), against the others."""
    answered = np.isfinite(outcomes)
    own_right = np.where(answered, outcomes, 0.0)
    right = own_right.sum(axis=0) - own_right
    asked = answered.sum(axis=0) - answered
    return contrasts(cells(outcomes, right, asked, public))


def contrasts(grouped: Cells) -> tuple[Floats, Floats]:
    """Return δ and its standard error for each of R models, (R,)."""
    is_public = np.broadcast_to(grouped.public, grouped.hits.shape)[..., None]
    design = np.concatenate([grouped.design(), is_public], axis=-1)
    fit = logistic(design, grouped.hits, grouped.trials, np.zeros_like(grouped.hits))
    covariance = np.linalg.inv(fit.information)
    return fit.coefficients[:, 3], np.sqrt(covariance[:, 3, 3])
