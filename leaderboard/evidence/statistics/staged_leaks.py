"""Test for a leak over the runs of one endpoint that was shown a set in stages.

Each run is asked the parts that its provider was shown before (seen) and one more (fresh). A
provider that trains on what it is shown turns a share of the seen items that its model had wrong
into right ones. That share m is estimated, and tested against 0:

- E[y] = p + m (1 - p) for a seen item, p for a fresh one. p has one intercept for each run, so a
  model may change from run to run, and one slope on the easiness of the item for other models.
- The answers of one item in several runs are correlated (working correlation, exchangeable). So an
  item that was fresh once and seen later is compared with itself: what it gained, against what
  items gained meanwhile that were seen in both runs.
- U is the efficient score of m at 0 in these generalized estimating equations (K.-Y. Liang and
  S. L. Zeger, Biometrika 73 (1986) 13). Its variance is the larger one of the model's and of the
  empirical one over items, each of which is one cluster: the empirical one is too small where
  few answers are wrong.

A draw before the first use decides which items are seen, so no change of a model and no error of
the correlation can make a leak of nothing; they cost power only.
"""

from collections.abc import Sequence
from math import inf, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.statistics.power import ALPHA, visible

FEWEST_MODELS = 4
"""Other models with outcomes from which the easiness of items is used."""
STEEPEST_CORRELATION = 0.95
ROUNDS = 25
RIDGE = 1e-4


class StagedLeak(NamedTuple):
    """Share of the seen items that were memorised, with its interval.

    - ``p``: one-sided, times ``comparisons``, the smallest over the comparisons made so far;
    - ``visible``: smallest share that is found in 80% of cases by the last comparison, at .05 for
      all of them together; 1 where none would be found.
    """

    share: float
    interval: Interval
    p: float
    visible: float
    comparisons: int


class _Test(NamedTuple):
    share: float
    se: float
    z: float


def easiness(others: Floats) -> Floats | None:
    """Return the easiness of each item, standardised logits of the share of ``others`` it had.

    ``others`` are outcomes (models, items) of 0, 1 and NaN. None for too few models.
    """
    if len(others) < FEWEST_MODELS:
        return None
    asked = np.isfinite(others).sum(axis=0)
    right = np.nansum(others, axis=0)
    raw = logit((right + 0.5) / (asked + 1))
    spread = raw.std()
    if not spread > 0:
        return None
    return np.asarray((raw - raw.mean()) / spread)


def staged_leak(
    outcomes: Floats,
    seen: NDArray[np.bool_],
    easy: Floats | None = None,
    *,
    compared: Sequence[int],
    comparisons: int,
    level: float = LEVEL,
) -> StagedLeak:
    """Return the test over the runs of one endpoint, oldest first.

    - ``outcomes``: (runs, items) of 0 and 1, NaN where an item was not asked or is on no side;
    - ``seen``: (runs, items), True where the provider was shown the item before;
    - ``easy``: easiness of the items, see :func:`easiness`;
    - ``compared``: the runs after which the test is made, each over all runs until then;
    - ``comparisons``: the number of tests that are planned (Bonferroni).
    """
    tests: list[_Test] = []
    for run in compared:
        until_run = slice(run + 1)
        tests.append(_test(outcomes[until_run], seen[until_run], easy))
    last = tests[-1]
    p_values = [float(norm.sf(test.z)) for test in tests]
    runs = list(compared)
    asked = np.isfinite(outcomes[runs])
    asked_and_seen = seen[runs] & asked
    of_seen = float(asked_and_seen.sum() / asked.sum())
    reach = critical_value(level) * last.se
    low = _share(last.share - reach, of_seen)
    high = _share(last.share + reach, of_seen)
    visible_step = visible(last.se, alpha=ALPHA / comparisons)
    return StagedLeak(
        share=_share(last.share, of_seen),
        interval=Interval(low, high),
        p=min(1.0, comparisons * min(p_values)),
        visible=_share(visible_step, of_seen),
        comparisons=comparisons,
    )


def _share(step: float, of_seen: float) -> float:
    """Return the share m that one step of the score from 0 stands for, between -1 and 1.

    At m = 0 the fit has 1 - p too small, by the factor 1 - m f where f are the seen items.
    """
    if step * of_seen <= -0.5:
        return -1.0
    if step == inf:
        return 1.0
    share = step / (1 + of_seen * step)
    return min(1.0, max(-1.0, share))


def _test(outcomes: Floats, seen: NDArray[np.bool_], easy: Floats | None) -> _Test:
    """Return the score test of m = 0 over these runs."""
    used = np.isfinite(outcomes).any(axis=0)
    y = outcomes[:, used].T
    asked = np.isfinite(y)
    # An intercept for each run, and the slope on easiness: (items, runs, coefficients).
    items, runs = asked.shape
    has_slope = easy is not None
    design = np.zeros((items, runs, runs + has_slope))
    design[:, range(runs), range(runs)] = 1.0
    if easy is not None:
        design[:, :, runs] = easy[used][:, None]
    right = np.where(asked, y, 0.0)
    expected = _null_fit(right, asked, design)
    variance = expected * (1 - expected)
    residual = np.where(asked, y - expected, 0.0)
    asked_and_seen = asked & seen[:, used].T
    effect = np.where(asked_and_seen, 1 - expected, 0.0)
    asked_variance = variance * asked
    nuisance = design * asked_variance[:, :, None]
    ridge = 1e-9 * np.eye(design.shape[2])
    inverse = _inverse_covariance(residual, variance, asked)

    weighted = inverse @ nuisance
    normal = np.einsum("irq,irs->qs", nuisance, weighted) + ridge
    sides = np.stack([effect, residual], axis=2)
    moments = np.einsum("irq,irk->qk", weighted, sides)
    coefficients = np.linalg.solve(normal, moments)
    efficient = sides - nuisance @ coefficients
    effect, residual = np.moveaxis(efficient, 2, 0)
    weight = np.einsum("irs,is->ir", inverse, effect)
    scores = (weight * residual).sum(axis=1)
    information = float((weight * effect).sum())
    if information < 1e-6:
        return _Test(0.0, inf, 0.0)
    empirical = float(scores @ scores)
    spread = sqrt(max(information, empirical))
    total = float(scores.sum())
    return _Test(
        share=total / information,
        se=spread / information,
        z=total / spread,
    )


def _null_fit(y: Floats, asked: NDArray[np.bool_], design: Floats) -> Floats:
    """Return the chance (items, runs) of a right answer without a leak, by logistic regression.

    Newton's method, with a tiny ridge and steps of at most 2.
    """
    rows = design[asked]
    right = y[asked]
    beta = np.zeros(design.shape[2])
    ridge = RIDGE * np.eye(len(beta))
    for _ in range(ROUNDS):
        chance = expit(rows @ beta)
        slope = rows.T @ (right - chance) - RIDGE * beta
        weight = chance * (1 - chance)
        weighted = rows * weight[:, None]
        information = weighted.T @ rows + ridge
        newton = np.linalg.solve(information, slope)
        step = np.clip(newton, -2, 2)
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    chance = expit(design @ beta)
    return np.asarray(np.clip(chance, 0.01, 0.99))


def _inverse_covariance(residual: Floats, variance: Floats, asked: NDArray[np.bool_]) -> Floats:
    """Return the inverse working covariance of each item's answers, (items, runs, runs).

    Its correlation is the mean product of standardised residuals over pairs of runs.
    """
    runs = residual.shape[1]
    deviation = np.sqrt(variance)
    standard = residual / deviation
    both = asked.astype(float).T @ asked
    products = standard.T @ standard
    above = np.triu_indices(runs, 1)
    pairs = both[above].sum()
    rho = 0.0
    if pairs:
        mean_product = products[above].sum() / pairs
        rho = float(np.clip(mean_product, 0, STEEPEST_CORRELATION))
    known = asked[:, :, None] & asked[:, None, :]
    # A run that did not ask the item is a row of the identity, and has no weight.
    correlation = np.where(known, rho, 0.0)
    correlation[:, range(runs), range(runs)] = 1.0
    scale = deviation[:, :, None] * deviation[:, None, :]
    inverse = np.linalg.inv(correlation)
    return np.asarray(inverse * known / scale)
