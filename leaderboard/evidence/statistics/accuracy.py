"""Standard errors of an accuracy where items have several samples or share a template."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Spread(NamedTuple):
    """An accuracy over ``k`` samples per item, its standard error, and the error's two parts as variances.

    ``within`` is what more samples would take away, ``between`` what only more items would.
    """

    mean: float
    se: float
    within: float
    between: float


class Clustered(NamedTuple):
    """A mean, its standard error with clusters and without, and their squared ratio."""

    mean: float
    se: float
    naive_se: float
    design_effect: float


def sampled(right: ArrayLike, samples: ArrayLike) -> Spread:
    """The accuracy of an item set with ``right[i]`` right of ``samples[i]`` samples of each item.

    SE² = Σ(p̂_i - p̄)²/(n(n-1)), which holds the variance of items and of sampling; the part within items is
    Σ p̂_i(1-p̂_i)/(k_i-1)/n²: E. Miller (2024), arXiv 2411.00640. Both parts are NaN where any item has only one sample.
    Raises ``ValueError`` for fewer than two items or counts that cannot be.
    """
    counts, sizes = np.broadcast_arrays(
        np.asarray(right, dtype=float), np.asarray(samples, dtype=float)
    )
    if counts.ndim != 1 or len(counts) < 2 or np.any((counts < 0) | (counts > sizes) | (sizes < 1)):
        raise ValueError("sampled accuracy needs two items or more and 0 <= right <= samples")
    n = len(counts)
    shares = counts / sizes
    mean = float(shares.mean())
    total = float(((shares - mean) ** 2).sum() / (n * (n - 1)))
    if np.any(sizes < 2):
        return Spread(mean, float(np.sqrt(total)), float("nan"), float("nan"))
    within = float((shares * (1 - shares) / (sizes - 1)).sum() / n**2)
    return Spread(mean, float(np.sqrt(total)), within, total - within)


def clustered(values: ArrayLike, clusters: ArrayLike) -> Clustered:
    """The mean of one value per item where items of one cluster (a template's variants) go together.

    SE²_cl = SE² + (1/n²) Σ_c Σ_{i≠j in c} (x_i - x̄)(x_j - x̄): E. Miller (2024), equation 4, after K.-Y. Liang &
    S. L. Zeger, Biometrika 73 (1986) 13. With SE² the sum of squares over n², each cluster adds its squared sum.
    Raises ``ValueError`` for fewer than two items or lengths that differ.
    """
    x, labels = np.asarray(values, dtype=float), np.asarray(clusters)
    if x.ndim != 1 or x.shape != labels.shape or len(x) < 2:
        raise ValueError("a clustered error needs two items or more and one cluster for each")
    off = x - x.mean()
    _, place = np.unique(labels, return_inverse=True)
    sums = np.bincount(place, weights=off)
    n = len(x)
    plain = float((off**2).sum()) / n**2
    joint = float((sums**2).sum()) / n**2
    naive = plain * n / (n - 1)
    # Miller adds the cross terms to the unbiased SE²: what one item per cluster gives is the plain error.
    variance = max(naive + joint - plain, 0.0)
    effect = variance / naive if naive > 0 else 1.0
    return Clustered(float(x.mean()), float(np.sqrt(variance)), float(np.sqrt(naive)), effect)
