"""Detection of references that look contaminated, so that the panel is fitted on the others.

A panel with contaminated references expects too much of every model and finds nothing.

1. A least-trimmed-squares curve (P. J. Rousseeuw, JASA 79 (1984) 871) through 70% of the
   references. It starts from triples and concentrates twice (P. J. Rousseeuw & K. Van Driessen,
   2006). It cannot be bent by 30% of the panel.
2. In order of their height above that curve, the first k = 0, 1, 2, … references are taken for a
   second group that stands higher by a step, and may have a spread of its own: references are not
   all contaminated by as much. The k with the largest classification
   likelihood (G. Celeux & G. Govaert, Comput. Stat. Data Anal. 14 (1992) 315) decides. None is put
   aside unless a second group is more likely than a single one in which models simply differ (τ²):
   a fixed cut of residuals would take the tail of honest differences for a group.

Only references above the curve are put aside. One that does worse on the public set than its peers
hides no gap.
"""

from math import ceil, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.evidence.statistics.logits import Floats, Logits, powers

CURVE = 3
"""Number of coefficients of the curve: level, slope, bend."""
FITTED_SHARE = 0.7
"""Share of the references that the first curve has to fit."""
MOST_PUT_ASIDE = 0.4
"""Largest share of the references that can be put aside."""
TRIPLES = 1500
CONCENTRATIONS = 2
ROUNDS = 3
STEEPEST = 3.0
"""Limit of the slope in a residual's error: three close points can make a curve absurdly steep."""
SPREADS = np.array([0.0, 0.04, 0.07, 0.10, 0.14, 0.20, 0.28, 0.40, 0.56]) ** 2
"""Values of τ² among which the likelihood is maximised, in squared logits."""
OWN_SPREADS = np.array([0.0, 0.3, 1.0, 2.0]) ** 2
"""Values of the second group's own variance: not all are contaminated by as much."""
OWN_SPREAD_PRICE = 1.0
"""Price of the own variance, as one parameter more."""
STEP_PRICE = 1.0
"""Price of the step of a second group in log likelihood, as one parameter more (H. Akaike, 1974).

Measured where models differ by .2 logits of their own: without a price, honest references are put
aside and clean models flagged 12 times in 100, not 8. At twice this price, contamination by .35
logits stays hidden (power .59 instead of .70). In the note's worlds it costs two points of power at
most.
"""


class _Split(NamedTuple):
    likelihood: Floats
    """(K,) of each split; minus infinity where the second group would stand lower."""
    curves: Floats
    """(K, 3) of the first group."""


def contaminated(data: Logits) -> NDArray[np.bool_]:
    """Return a mask (m,) of the references that look contaminated; none for fewer than five."""
    m = len(data.x)
    centred = data.x - data.x.mean()
    design = powers(centred)
    most = min(int(MOST_PUT_ASIDE * m), m - CURVE - 1)
    result = np.zeros(m, dtype=bool)
    if most < 1:
        return result
    curve = _trimmed_curve(data, design)
    order = np.empty(0, dtype=np.intp)
    for _ in range(ROUNDS):
        residuals, variance = _residuals(data, design, curve[None])
        by_height = np.argsort(-residuals[0], kind="stable")
        if np.array_equal(by_height, order):
            break
        order = by_height
        second_groups = np.zeros((most + 1, m), dtype=bool)
        for k in range(1, most + 1):
            second_groups[k, order[:k]] = True
        split = _split_likelihoods(data, design, variance[0], second_groups)
        best = int(np.argmax(split.likelihood))
        result = second_groups[best]
        curve = split.curves[best]
    return result


def _split_likelihoods(
    data: Logits,
    design: Floats,
    variance: Floats,
    second_groups: NDArray[np.bool_],
) -> _Split:
    """Return the classification likelihood of each of K splits, (K, m).

    It is maximised over the curve, the step, τ² and the second group's own spread.
    """
    count, m = second_groups.shape
    # The grid holds each own spread with each τ², which varies fastest.
    grid_size = len(OWN_SPREADS) * len(SPREADS)
    tau2 = np.tile(SPREADS, len(OWN_SPREADS))[:, None, None]
    own = np.repeat(OWN_SPREADS, len(SPREADS))[:, None, None]
    # (grid, splits, m)
    in_second = second_groups[None].astype(float)
    total = variance + tau2 + own * in_second
    curve_terms = np.broadcast_to(design, (grid_size, count, m, CURVE))
    step_term = np.broadcast_to(in_second, total.shape)
    terms = np.concatenate([curve_terms, step_term[..., None]], axis=3)
    weighted = np.swapaxes(terms / total[..., None], 2, 3)
    # This tiny ridge keeps the step of an empty group solvable, at zero.
    ridge = 1e-9 * np.eye(CURVE + 1)
    normal = weighted @ terms + ridge
    moments = weighted @ data.y[:, None]
    fitted = np.linalg.solve(normal, moments)[..., 0]
    products = terms @ fitted[..., None]
    residuals = data.y - products[..., 0]
    deviance = np.log(total) + residuals**2 / total
    likelihoods = -0.5 * deviance.sum(axis=2)
    has_own_spread = own[..., 0] > 0
    likelihoods -= OWN_SPREAD_PRICE * has_own_spread
    best = likelihoods.argmax(axis=0)
    likelihood = likelihoods.max(axis=0)
    coefficients = fitted[best, np.arange(count)]
    for k in range(1, count):
        rest = m - k
        of_second = k * log(k / m)
        of_first = rest * log(rest / m)
        likelihood[k] += of_second + of_first
    likelihood[1:] -= STEP_PRICE
    steps = coefficients[:, CURVE]
    # The first split has no second group, and so no step.
    stands_lower = steps <= 0
    stands_lower[0] = False
    likelihood[stands_lower] = -np.inf
    return _Split(likelihood, coefficients[:, :CURVE])


def triples(m: int, most: int = TRIPLES) -> NDArray[np.intp]:
    """Return all choices (t, 3) of three from ``m``, or ``most`` of them evenly from their list.

    Deterministic, by the combinatorial number system: N = C(c, 3) + C(b, 2) + a with c > b > a.
    """
    total = m * (m - 1) * (m - 2) // 6
    place = np.arange(min(total, most))
    number = place if total <= most else place * total // most
    k = np.arange(m)
    choose_3 = k * (k - 1) * (k - 2) // 6
    choose_2 = k * (k - 1) // 2
    c = np.searchsorted(choose_3, number, side="right") - 1
    rest = number - choose_3[c]
    b = np.searchsorted(choose_2, rest, side="right") - 1
    a = rest - choose_2[b]
    return np.stack([a, b, c], axis=1)


def _trimmed_curve(data: Logits, design: Floats) -> Floats:
    """Return the least-trimmed-squares curve, (3,)."""
    m = len(data.x)
    size = max(ceil(FITTED_SHARE * m), CURVE + 1)
    starts = _indicators(triples(m), m)
    curves = _fit_curves(design, data.y, starts)
    for _ in range(CONCENTRATIONS):
        residuals, variance = _residuals(data, design, curves)
        by_size = np.argpartition(residuals**2, size - 1, axis=1)
        closest = by_size[:, :size]
        weights = _indicators(closest, m) / variance
        curves = _fit_curves(design, data.y, weights)
    residuals, _ = _residuals(data, design, curves)
    squares = np.partition(residuals**2, size - 1, axis=1)
    smallest = squares[:, :size]
    best = int(np.argmin(smallest.sum(axis=1)))
    return np.asarray(curves[best])


def _indicators(places: NDArray[np.intp], m: int) -> Floats:
    """Return rows of 0 and 1, (t, m), from rows of places."""
    rows = np.zeros((len(places), m))
    np.put_along_axis(rows, places, 1.0, axis=1)
    return rows


def _fit_curves(design: Floats, y: Floats, weights: Floats) -> Floats:
    """Return the weighted least-squares curves (t, 3) for t rows of weights (t, m).

    A tiny ridge keeps references with equal x solvable.
    """
    squares = design[:, :, None] * design[:, None, :]
    products = squares.reshape(len(y), -1)
    normal = (weights @ products).reshape(-1, CURVE, CURVE)
    scale = np.trace(normal, axis1=1, axis2=2)
    ridge = 1e-9 * scale[:, None, None] * np.eye(CURVE)
    moments = weights @ (design * y[:, None])
    curves = np.linalg.solve(normal + ridge, moments[..., None])
    return np.asarray(curves[..., 0])


def _residuals(data: Logits, design: Floats, curves: Floats) -> tuple[Floats, Floats]:
    """Return residuals in units of their sampling error, and its variance, (t, m) each."""
    slope = curves[:, 1:2]
    bend = curves[:, 2:3]
    slopes = slope + 2 * bend * design[:, 1]
    squared_slopes = np.minimum(slopes**2, STEEPEST**2)
    variance = data.vy + squared_slopes * data.vx
    residuals = data.y - curves @ design.T
    return residuals / np.sqrt(variance), variance
