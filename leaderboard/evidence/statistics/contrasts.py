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
        columns = [np.ones_like(e), e, e * e]
        return np.stack(columns, axis=-1)


@dataclass(frozen=True)
class Fit:
    """Coefficients (R, q), information (R, q, q) with the ridge, and chances (R, cells)."""

    coefficients: Floats
    information: Floats
    chances: Floats


def cells(
    outcomes: Floats,
    right: Floats,
    asked: Floats,
    public: NDArray[np.bool_],
) -> Cells:
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
    of_others = np.rint(right) * base + asked
    code = (2 * of_others).astype(np.intp) + public
    starts = size * np.arange(rows)
    places = code + starts[:, None]
    place = places[counted]

    def by_cell(weights: Floats | None) -> Floats:
        sums = np.bincount(place, weights=weights, minlength=rows * size)
        return sums.reshape(rows, size).astype(float)

    own = outcomes[counted]
    trials = by_cell(None)
    used = np.flatnonzero(trials.any(axis=0))
    trials = trials[:, used]
    others_right, others_asked = np.divmod(used // 2, base)
    others_wrong = others_asked - others_right
    log_odds = np.log((others_right + 0.5) / (others_wrong + 0.5))
    counts = trials.sum(axis=1, keepdims=True)
    total = np.maximum(counts, 1.0)
    sums = (trials * log_odds).sum(axis=1, keepdims=True)
    mean = sums / total
    deviations = log_odds - mean
    squares = trials * deviations**2
    variance = squares.sum(axis=1, keepdims=True) / total
    spread = np.sqrt(variance)
    spread[spread == 0] = 1.0
    grouped = Cells(
        trials=trials,
        hits=by_cell(own)[:, used],
        easiness=deviations / spread,
        public=(used % 2).astype(float),
    )
    own_squares = own**2
    if np.array_equal(own, own_squares):
        return grouped
    return _weighted(grouped, by_cell(own_squares)[:, used])


def _weighted(grouped: Cells, squares: Floats) -> Cells:
    """Return the cells with each item counted as 1/φ; ``squares`` (R, cells) are those of outcomes.

    φ is 1 for a model with single outcomes, and never above.
    """
    is_public = np.broadcast_to(grouped.public, grouped.hits.shape)[..., None]
    design = np.concatenate([grouped.design(), is_public], axis=-1)
    hits = grouped.hits
    trials = grouped.trials
    p = logistic(design, hits, trials, np.zeros_like(hits)).chances
    squared_residuals = squares - 2 * p * hits + p**2 * trials
    expected_squares = p * (1 - p) * trials
    residual = squared_residuals.sum(axis=1)
    expected = expected_squares.sum(axis=1)
    is_single = (squares == hits).all(axis=1)
    # Where nothing varies there is no ratio.
    is_unscaled = is_single | (expected <= 0)
    ratio = residual / np.maximum(expected, 1e-12)
    phi = np.where(is_unscaled, 1.0, ratio)
    dispersion = np.clip(phi, LEAST_DISPERSION, 1.0)
    weight = 1 / dispersion[:, None]
    return Cells(
        trials=trials * weight,
        hits=hits * weight,
        easiness=grouped.easiness,
        public=grouped.public,
    )


def logistic(
    design: Floats,
    hits: Floats,
    trials: Floats,
    offset: Floats,
    start: Floats | None = None,
) -> Fit:
    """Fit R models by Newton's method from ``start`` (R, q) or 0, each with the weak ridge.

    ``design`` is (R, cells, q), the others (R, cells). A step that lowers the penalised likelihood
    is halved, so that the fit converges from any start.
    """
    size = design.shape[-1]
    ridge = RIDGE * np.eye(size)
    transposed = np.ascontiguousarray(design.transpose(0, 2, 1))

    def predictor(beta: Floats) -> Floats:
        products = design @ beta[..., None]
        return np.asarray(products[..., 0] + offset)

    def likelihood(beta: Floats, eta: Floats) -> Floats:
        terms = hits * eta - trials * np.logaddexp(0.0, eta)
        squares = (beta**2).sum(axis=1)
        penalty = RIDGE / 2 * squares
        return np.asarray(terms.sum(axis=1) - penalty)

    beta: Floats = np.zeros((len(hits), size))
    if start is not None:
        beta = start
    eta = predictor(beta)
    reached = likelihood(beta, eta)
    for _ in range(NEWTON_STEPS):
        p = expit(eta)
        weight = trials * p * (1 - p)
        residual = hits - trials * p
        information = (transposed * weight[:, None]) @ design + ridge
        moments = transposed @ residual[..., None]
        slope = moments[..., 0] - RIDGE * beta
        solved = np.linalg.solve(information, slope[..., None])
        step = solved[..., 0]
        longest = np.abs(step).max(axis=1, keepdims=True)
        most = LONGEST_STEP / np.maximum(longest, 1e-12)
        step *= np.minimum(1.0, most)
        for _ in range(HALVINGS):
            closer = beta + step
            eta = predictor(closer)
            climbed = likelihood(closer, eta)
            rounding = ROUNDING * np.abs(reached)
            lower = climbed < reached - rounding
            if not lower.any():
                break
            step[lower] /= 2
        beta = beta + step
        reached = climbed
        if longest.max() < NEWTON_TOLERANCE:
            break
    return Fit(beta, information, p)


def leave_one_out_contrasts(outcomes: Floats, public: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Return δ and its standard error for each of m models, (m,), against the others."""
    answered = np.isfinite(outcomes)
    own_right = np.where(answered, outcomes, 0.0)
    right = own_right.sum(axis=0) - own_right
    asked = answered.sum(axis=0) - answered
    grouped = cells(outcomes, right, asked, public)
    return contrasts(grouped)


def contrasts(grouped: Cells) -> tuple[Floats, Floats]:
    """Return δ and its standard error for each of R models, (R,)."""
    is_public = np.broadcast_to(grouped.public, grouped.hits.shape)[..., None]
    design = np.concatenate([grouped.design(), is_public], axis=-1)
    hits = grouped.hits
    fit = logistic(design, hits, grouped.trials, np.zeros_like(hits))
    covariance = np.linalg.inv(fit.information)
    variance = covariance[:, 3, 3]
    return fit.coefficients[:, 3], np.sqrt(variance)
