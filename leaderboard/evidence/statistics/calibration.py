"""Expected contrast of a clean model at an ability, from the contrasts of a panel's references.

A contrast is the logit of a model's public answers less that of its private ones. On sets that
discriminate differently it changes with the ability of the model, so it is regressed on ability:

- reference i has ``d_i = f(x_i) + u_i + e_i`` with Var u = τ² and Var e_i known: a random-effects
  meta-regression (S. G. Thompson & S. J. Sharp, Stat. Med. 18 (1999) 2693), τ² by Paule and Mandel;
- f is a constant, a line or a parabola. The corrected information criterion chooses (C. M. Hurvich
  & C.-L. Tsai, Biometrika 76 (1989) 297): few references keep a constant;
- each lineage has one vote, because its models share their bent. Its vote is the mean of its
  members, and its own spread counts for a model of another lineage.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from leaderboard.evidence.statistics.contamination import contaminated
from leaderboard.evidence.statistics.logits import Floats, Logits
from leaderboard.evidence.statistics.meta import paule_mandel

OUTSIDE = 1.96
"""Standard errors by which a model has to be beyond every reference to be outside the panel."""
FEWEST_VOTES = 4
"""Number of lineages below which a spread between them cannot be estimated."""


@dataclass(frozen=True)
class Calibration:
    """Expected contrast f(x) of a clean model of ability x.

    - ``coefficients`` (q,) of the powers of ``x - centre``, with their ``covariance`` (q, q);
    - ``tau2`` is the variance of one model about f;
    - ``freedom`` are the votes less the coefficients;
    - ``low`` and ``high`` are the abilities of the weakest and of the strongest reference, with
      their sampling variances.
    """

    coefficients: Floats
    covariance: Floats
    centre: float
    tau2: float
    freedom: int
    low: float
    high: float
    low_variance: float
    high_variance: float

    @property
    def private_range(self) -> tuple[float, float]:
        """Private shares of the weakest and of the strongest reference."""
        return float(expit(self.low)), float(expit(self.high))

    def covers(self, x: Floats, variance: Floats) -> NDArray[np.bool_]:
        """Return True where abilities ``x`` are not beyond those of the panel.

        ``variance`` is that of ``x`` by sampling: an ability within 1.96 standard errors of its
        difference from the strongest or the weakest reference is not beyond. There f is that of the
        end of the panel.
        """
        high_error = np.sqrt(variance + self.high_variance)
        low_error = np.sqrt(variance + self.low_variance)
        above = x - self.high > OUTSIDE * high_error
        below = self.low - x > OUTSIDE * low_error
        return np.asarray(~(above | below))

    def expected(self, x: Floats) -> Floats:
        """Return f at abilities ``x``, which are clipped to those of the panel."""
        terms = self.design(x)
        return self._weighted_sum(self.coefficients, terms)

    def uncertainty(self, x: Floats) -> Floats:
        """Return the variance of f at abilities ``x``, clipped as in :meth:`expected`."""
        terms = self.design(x)
        parts: list[Floats] = []
        for i, row in enumerate(self.covariance):
            of_row = self._weighted_sum(row, terms)
            parts.append(terms[:, i] * of_row)
        return np.asarray(sum(parts))

    def slope(self, x: Floats) -> Floats:
        """Return the slope of f at abilities ``x``; 0 beyond those of the panel."""
        inside = (x >= self.low) & (x <= self.high)
        steps = np.clip(x, self.low, self.high) - self.centre
        slope = np.zeros_like(steps)
        for power in range(1, len(self.coefficients)):
            factor = power * self.coefficients[power]
            slope = slope + factor * steps ** (power - 1)
        return np.where(inside, slope, 0.0)

    def design(self, x: Floats) -> Floats:
        """Return the rows (len(x), q) that the coefficients multiply."""
        steps = np.clip(x, self.low, self.high) - self.centre
        return _powers(steps, len(self.coefficients))

    @staticmethod
    def _weighted_sum(factors: Floats, terms: Floats) -> Floats:
        """Multiply row by row: a product of matrices would round differently for many models."""
        products = [factor * terms[:, i] for i, factor in enumerate(factors)]
        return np.asarray(sum(products))


class _Votes(NamedTuple):
    """Mean ability, contrast and sampling variance of each lineage, (votes,).

    ``within`` is the variance of one model about its lineage's mean that the means do not show.
    """

    x: Floats
    d: Floats
    variance: Floats
    within: float


class _Fit(NamedTuple):
    criterion: float
    coefficients: Floats
    covariance: Floats
    tau2: float


def lineage_numbers(lineages: Sequence[Hashable] | None, count: int) -> NDArray[np.intp]:
    """Return a number for the lineage of each of ``count`` references; None: each is of its own."""
    if lineages is None:
        return np.arange(count)
    distinct = dict.fromkeys(lineages)
    number_of = {lineage: number for number, lineage in enumerate(distinct)}
    numbers = [number_of[lineage] for lineage in lineages]
    return np.array(numbers, dtype=np.intp)


def distrusted(data: Logits, numbers: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return a mask (m,) of the references that look contaminated.

    None is marked if fewer than four lineages would be left.
    """
    mask = contaminated(data)
    if len(np.unique(numbers[~mask])) < FEWEST_VOTES:
        return np.zeros_like(mask)
    return mask


def calibrate(
    x: Floats,
    contrasts: Floats,
    variance: Floats,
    x_variance: Floats,
    lineages: Sequence[Hashable] | None = None,
    *,
    largest_degree: int = 1,
) -> Calibration:
    """Fit f to m references of abilities ``x``; without ``lineages`` each is of its own.

    ``variance`` and ``x_variance`` (m,) are the sampling variances of contrasts and abilities.
    Raises ValueError for fewer than four lineages.
    """
    names = range(len(x)) if lineages is None else lineages
    votes = _votes(x, contrasts, variance, names)
    if len(votes.x) < FEWEST_VOTES:
        raise ValueError("calibration needs references of four lineages or more")
    centre = float(votes.x.mean())
    degrees = range(largest_degree + 1)
    fits = [_fit(votes, centre, degree) for degree in degrees]
    best = min(fits, key=lambda fit: fit.criterion)
    return Calibration(
        coefficients=best.coefficients,
        covariance=best.covariance,
        centre=centre,
        tau2=best.tau2 + votes.within,
        freedom=len(votes.x) - len(best.coefficients),
        low=float(x.min()),
        high=float(x.max()),
        low_variance=float(x_variance[x.argmin()]),
        high_variance=float(x_variance[x.argmax()]),
    )


def _votes(
    x: Floats,
    contrasts: Floats,
    variance: Floats,
    lineages: Sequence[Hashable],
) -> _Votes:
    """Return one vote for each lineage, and the spread within them (DerSimonian and Laird's)."""
    places: dict[Hashable, list[int]] = {}
    for place, lineage in enumerate(lineages):
        places.setdefault(lineage, []).append(place)
    members = [np.array(own) for own in places.values()]
    sizes = np.array([len(own) for own in members])
    q = 0.0
    scale = 0.0
    for own in members:
        w = 1 / variance[own]
        total = w.sum()
        mean = (w * contrasts[own]).sum() / total
        deviations = contrasts[own] - mean
        q += float((w * deviations**2).sum())
        scale += float(total - (w**2).sum() / total)
    spread = 0.0
    if scale > 0:
        freedom = int((sizes - 1).sum())
        spread = max(0.0, (q - freedom) / scale)
    mean_x = [x[own].mean() for own in members]
    mean_contrasts = [contrasts[own].mean() for own in members]
    mean_variances = [variance[own].mean() for own in members]
    inverse_size = (1 / sizes).mean()
    return _Votes(
        x=np.array(mean_x),
        d=np.array(mean_contrasts),
        variance=np.array(mean_variances) / sizes,
        within=float(spread * (1 - inverse_size)),
    )


def _fit(votes: _Votes, centre: float, degree: int) -> _Fit:
    """Fit a polynomial by weighted least squares, at the τ² of Paule and Mandel."""
    design = _powers(votes.x - centre, degree + 1)
    parameters = degree + 2
    spare = len(votes.x) - parameters - 1
    if spare <= 0 and degree > 0:
        count = degree + 1
        return _Fit(
            criterion=np.inf,
            coefficients=np.zeros(count),
            covariance=np.zeros((count, count)),
            tau2=0.0,
        )
    tau2 = paule_mandel(votes.d, votes.variance, design)
    total = votes.variance + tau2
    information = design.T @ (design / total[:, None])
    covariance: Floats = np.asarray(np.linalg.pinv(information), dtype=float)
    coefficients = covariance @ (design.T @ (votes.d / total))
    residuals = votes.d - design @ coefficients
    of_votes = np.log(total) + residuals**2 / total
    deviance = float(of_votes.sum())
    correction = 2 * parameters * (parameters + 1) / max(spare, 1)
    return _Fit(
        criterion=deviance + 2 * parameters + correction,
        coefficients=coefficients,
        covariance=covariance,
        tau2=tau2,
    )


def _powers(steps: Floats, count: int) -> Floats:
    columns = [steps**power for power in range(count)]
    return np.stack(columns, axis=-1)
