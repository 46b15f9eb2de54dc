"""Standard errors of an accuracy for items with several samples or a shared template."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Spread(NamedTuple):
    """Accuracy over several samples per item, its standard error, and two parts of its variance.

    More samples would remove the part ``within``; only more items would remove ``between``.
    """

    mean: float
    se: float
    within: float
    between: float


class Clustered(NamedTuple):
    """Mean, its standard error with clusters and without, and the squared ratio of the two."""

    mean: float
    se: float
    naive_se: float
    design_effect: float


def sampled(right: ArrayLike, samples: ArrayLike) -> Spread:
    """Return the accuracy where ``right[i]`` of ``samples[i]`` samples of item i are right.

    SE² = Σ(p̂_i - p̄)²/(n(n-1)) contains the variance of items and of sampling. The part within
    items is Σ p̂_i(1-p̂_i)/(k_i-1)/n²: E. Miller (2024), arXiv 2411.00640. Both parts are NaN where
    an item has only one sample.

    Raises ValueError for fewer than two items and for impossible counts.
    """
    right_counts = np.asarray(right, dtype=float)
    sample_counts = np.asarray(samples, dtype=float)
    counts, sizes = np.broadcast_arrays(right_counts, sample_counts)
    beyond_samples = (counts < 0) | (counts > sizes)
    is_impossible = np.any(beyond_samples | (sizes < 1))
    has_two_items = counts.ndim == 1 and len(counts) >= 2
    if is_impossible or not has_two_items:
        raise ValueError("sampled accuracy needs two items or more and 0 <= right <= samples")
    n = len(counts)
    shares = counts / sizes
    mean = float(shares.mean())
    deviations = shares - mean
    squares = (deviations**2).sum()
    total = float(squares / (n * (n - 1)))
    se = float(np.sqrt(total))
    if np.any(sizes < 2):
        unknown = float("nan")
        return Spread(mean, se, within=unknown, between=unknown)
    of_outcomes = shares * (1 - shares)
    of_items = of_outcomes / (sizes - 1)
    within = float(of_items.sum() / n**2)
    return Spread(mean, se, within, total - within)


def clustered(values: ArrayLike, clusters: ArrayLike) -> Clustered:
    """Return the mean of one value per item, where items of a cluster (a template) err together.

    SE²_cl = SE² + (1/n²) Σ_c Σ_{i≠j in c} (x_i - x̄)(x_j - x̄): E. Miller (2024), equation 4, after
    K.-Y. Liang & S. L. Zeger, Biometrika 73 (1986) 13. With SE² as the sum of squares over n²,
    each cluster adds its squared sum.

    Raises ValueError for fewer than two items and for lengths that differ.
    """
    x = np.asarray(values, dtype=float)
    labels = np.asarray(clusters)
    is_labelled_list = x.ndim == 1 and x.shape == labels.shape
    if not is_labelled_list or len(x) < 2:
        raise ValueError("a clustered error needs two items or more and one cluster for each")
    n = len(x)
    deviations = x - x.mean()
    _, cluster = np.unique(labels, return_inverse=True)
    sums = np.bincount(cluster, weights=deviations)
    squares = float((deviations**2).sum())
    squares_of_sums = float((sums**2).sum())
    plain = squares / n**2
    joint = squares_of_sums / n**2
    # The cross terms are added to the unbiased SE², so one item per cluster gives the plain error.
    naive = plain * n / (n - 1)
    variance = max(naive + joint - plain, 0.0)
    effect = 1.0
    if naive > 0:
        effect = variance / naive
    return Clustered(
        mean=float(x.mean()),
        se=float(np.sqrt(variance)),
        naive_se=float(np.sqrt(naive)),
        design_effect=effect,
    )
