"""Which references of a panel look contaminated, so that the panel can be fitted on the others.

A panel that holds contaminated references expects too much of everyone and sees nothing. Two steps find them:

1. A least-trimmed-squares curve (P. J. Rousseeuw, JASA 79 (1984) 871) through 70% of the references: it starts from
   triples and concentrates twice (P. J. Rousseeuw & K. Van Driessen, 2006). It cannot be bent by 30% of the panel.
2. In order of their height above that curve, the first k = 0, 1, 2, … references are taken for a second group that
   stands higher by one common step. The k with the largest classification likelihood (G. Celeux & G. Govaert, Comput.
   Stat. Data Anal. 14 (1992) 315) decides, and none is put aside unless a second group is more likely than a single one
   in which models simply differ (τ²). A fixed cut of residuals would take the tail of honest differences for it.

One-sidedly: a reference that does worse on the public set than its peers hides nobody's gap.
"""

from math import ceil, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.evidence.statistics.logits import Floats, Logits, powers

CURVE = 3
"""The coefficients of the curve: level, slope, bend."""
KEPT, MOST = 0.7, 0.4
"""The share that the start has to fit, and the largest share that can be put aside."""
TRIPLES = 1500
CONCENTRATIONS, ROUNDS = 2, 3
STEEPEST = 3.0
"""A curve through three close points may be absurdly steep; its slope must not make every residual look small."""
SPREADS = np.array([0.0, 0.04, 0.07, 0.10, 0.14, 0.20, 0.28, 0.40, 0.56]) ** 2
"""The values of τ² among which the likelihood is largest, in squared logits."""
STEP_PRICE = 1.0
"""What the step costs a second group, in log likelihood, as one parameter more (H. Akaike, 1974). At no price, where
models differ by .2 logits of their own, honest references are lost and clean models accused 12 times in 100, not 8; at
twice this price, contamination by .35 logits stays hidden (power .59 instead of .70). In the note's worlds it costs two
points of power at most."""


class _Split(NamedTuple):
    likelihood: Floats
    """(K,) of each split; minus infinity where the second group would stand lower."""
    curves: Floats
    """(K, 3) of the first group."""


def contaminated(data: Logits) -> NDArray[np.bool_]:
    """Which of m references look contaminated, (m,); none for fewer than five."""
    m = len(data.x)
    design = powers(data.x - data.x.mean())
    most = min(int(MOST * m), m - CURVE - 1)
    none = np.zeros(m, dtype=bool)
    if most < 1:
        return none
    curve = _trimmed(data, design)
    found, order = none, np.empty(0, dtype=np.intp)
    for _ in range(ROUNDS):
        residuals, variance = _residuals(data, design, curve[None])
        again = np.argsort(-residuals[0], kind="stable")
        if np.array_equal(again, order):
            break
        order = again
        high = np.zeros((most + 1, m), dtype=bool)
        for k in range(1, most + 1):
            high[k, order[:k]] = True
        split = _splits(data, design, variance[0], high)
        best = int(np.argmax(split.likelihood))
        found, curve = high[best], split.curves[best]
    return found


def _splits(data: Logits, design: Floats, variance: Floats, high: NDArray[np.bool_]) -> _Split:
    """The classification likelihood of each of K splits, (K, m), maximised over the curve, the step and τ²."""
    count, m = high.shape
    wide = np.concatenate(
        [np.broadcast_to(design, (count, m, CURVE)), high[..., None].astype(float)], axis=2
    )
    likelihood = np.full(count, -np.inf)
    curves = np.zeros((count, CURVE + 1))
    for tau2 in SPREADS:
        total = variance + tau2
        weighted = (wide / total[:, None]).transpose(0, 2, 1)
        # The hair of ridge keeps the step of an empty group solvable, at zero.
        normal = weighted @ wide + 1e-9 * np.eye(CURVE + 1)
        fitted = np.linalg.solve(normal, weighted @ data.y[:, None])
        off = data.y - (wide @ fitted)[..., 0]
        found = -0.5 * (np.log(total) + off**2 / total).sum(axis=1)
        better = found > likelihood
        likelihood[better], curves[better] = found[better], fitted[better, :, 0]
    for k in range(1, count):
        likelihood[k] += k * log(k / m) + (m - k) * log((m - k) / m)
    likelihood[1:] -= STEP_PRICE
    likelihood[1:][curves[1:, CURVE] <= 0] = -np.inf
    return _Split(likelihood, curves[:, :CURVE])


def triples(m: int, most: int = TRIPLES) -> NDArray[np.intp]:
    """All choices (t, 3) of three from ``m``, or ``most`` of them evenly from their list: no dice are needed.

    By the combinatorial number system: N = C(c, 3) + C(b, 2) + a with c > b > a.
    """
    total = m * (m - 1) * (m - 2) // 6
    number = np.arange(total) if total <= most else np.arange(most) * total // most
    k = np.arange(m)
    threes, twos = k * (k - 1) * (k - 2) // 6, k * (k - 1) // 2
    c = np.searchsorted(threes, number, side="right") - 1
    rest = number - threes[c]
    b = np.searchsorted(twos, rest, side="right") - 1
    return np.stack([rest - twos[b], b, c], axis=1)


def _trimmed(data: Logits, design: Floats) -> Floats:
    """The least-trimmed-squares curve, (3,)."""
    m = len(data.x)
    kept = max(ceil(KEPT * m), CURVE + 1)
    curves = _through(design, data.y, _members(triples(m), m))
    for _ in range(CONCENTRATIONS):
        residuals, variance = _residuals(data, design, curves)
        near = np.argpartition(residuals**2, kept - 1, axis=1)[:, :kept]
        curves = _through(design, data.y, _members(near, m) / variance)
    residuals, _ = _residuals(data, design, curves)
    squares = np.partition(residuals**2, kept - 1, axis=1)[:, :kept].sum(axis=1)
    return np.asarray(curves[int(np.argmin(squares))])


def _members(places: NDArray[np.intp], m: int) -> Floats:
    """Rows of 0 and 1, (t, m), from rows of places."""
    weights = np.zeros((len(places), m))
    np.put_along_axis(weights, places, 1.0, axis=1)
    return weights


def _through(design: Floats, y: Floats, weights: Floats) -> Floats:
    """The weighted least-squares curves (t, 3) for t rows of weights (t, m); a hair of ridge keeps equal x solvable."""
    products = (design[:, :, None] * design[:, None, :]).reshape(len(y), -1)
    normal = (weights @ products).reshape(-1, CURVE, CURVE)
    ridge = 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(CURVE)
    return np.asarray(
        np.linalg.solve(normal + ridge, (weights @ (design * y[:, None]))[..., None])[..., 0]
    )


def _residuals(data: Logits, design: Floats, curves: Floats) -> tuple[Floats, Floats]:
    """Residuals in units of their sampling error, and its variance, (t, m) each."""
    slopes = curves[:, 1:2] + 2 * curves[:, 2:3] * design[:, 1]
    variance = data.vy + np.minimum(slopes**2, STEEPEST**2) * data.vx
    return (data.y - curves @ design.T) / np.sqrt(variance), variance
