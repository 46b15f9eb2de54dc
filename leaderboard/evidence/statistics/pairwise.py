"""Every model against every other on the items both answered, from one product of matrices."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from leaderboard.evidence.statistics.intervals import LEVEL

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
BLOCK = 512


def discordances(matrix: Floats) -> tuple[Floats, Floats]:
    """``wins[j, k]``, the items that j has right and k wrong, and ``common[j, k]``, those both answered.

    ``matrix`` is (models, items) of 0, 1 and NaN.
    """
    right, seen = _parts(matrix)
    both = (right @ right.T).astype(float)
    if seen is None:
        return both.diagonal()[:, None] - both, np.full_like(both, matrix.shape[1])
    return (right @ seen.T).astype(float) - both, (seen @ seen.T).astype(float)


def pairwise_sets(matrix: Floats, level: float) -> NDArray[np.int64]:
    """The (low, high) ranks (models, 2) of each model by itself: paired tests with Holm's adjustment within its row.

    z = (b - c)/√(b + c), two-sided, for each pair's discordant items b and c: Q. McNemar (1947). Each range holds its
    model's rank with probability ``level``; together they promise nothing. In blocks of rows, in single precision,
    which counts up to 16 million items exactly.
    """
    found = np.empty((len(matrix), 2), dtype=np.int64)
    for start, z in _statistics(matrix):
        found[start : start + len(z)] = _ranges(z, len(matrix) - 1, level)
    return found


def _ranges(z: Singles, comparisons: int, level: float) -> NDArray[np.int64]:
    """The (low, high) ranks (rows, 2) after Holm's step-down within each row of ``comparisons`` two-sided tests."""
    # thresholds[r]: |z| that a pair must exceed once r others of its row are rejected.
    left = np.maximum(np.arange(comparisons, -1, -1), 1)
    thresholds = -ndtri((1 - level) / (2 * left)).astype(np.float32)
    size = np.abs(z)
    rejected = np.zeros(len(z), dtype=np.int64)
    while True:
        bar = thresholds[rejected][:, None]
        again = (size > bar).sum(axis=1)
        if np.array_equal(again, rejected):
            break
        rejected = again
    return np.stack([1 + (z < -bar).sum(axis=1), comparisons + 1 - (z > bar).sum(axis=1)], axis=1)


def _parts(matrix: Floats) -> tuple[Singles, Singles | None]:
    """Right answers, and who answered what; ``None`` where all answered all."""
    seen = np.isfinite(matrix)
    if seen.all():
        return matrix.astype(np.float32), None
    return np.where(seen, matrix, 0).astype(np.float32), seen.astype(np.float32)


def _statistics(matrix: Floats) -> Iterator[tuple[int, Singles]]:
    """McNemar's z of blocks of rows against all models: (first row, (rows, models)); 0 where nothing is discordant."""
    right, seen = _parts(matrix)
    scores = right.sum(axis=1)
    for start in range(0, len(matrix), BLOCK):
        rows = slice(start, start + BLOCK)
        both = right[rows] @ right.T
        if seen is None:
            ahead, behind = scores[rows, None], scores[None, :]
        else:
            ahead, behind = right[rows] @ seen.T, seen[rows] @ right.T
        apart = ahead + behind - 2 * both
        np.maximum(apart, 1, out=apart)
        yield start, (ahead - behind) / np.sqrt(apart)


def packed(matrix: Floats) -> Singles:
    """The outcomes in single precision, to be kept between rows: 5,000 models by 2,500 items are 50 MB."""
    return matrix.astype(np.float32)


def rank_among(new: Floats, others: Singles, level: float = LEVEL) -> tuple[int, int]:
    """The (low, high) ranks of one new model among ``others`` (models, items), :func:`packed`.

    What :func:`pairwise_sets` says of it on the board with it, to the bit, for the price of a few products of a matrix
    and a vector. Raises ``ValueError`` for other items.
    """
    if new.shape != others.shape[1:]:
        raise ValueError("a new model needs the outcomes of the same items")
    own = new.astype(np.float32)
    # A sum is missing where any term is: one pass tells whether all answered all.
    if np.isfinite(own).all() and np.isfinite(others.sum()):
        both, ahead, behind = others @ own, own.sum(), others.sum(axis=1)
    else:
        seen, right = np.isfinite(others).astype(np.float32), np.nan_to_num(others)
        right_own = np.nan_to_num(own)
        both, ahead, behind = (
            right @ right_own,
            seen @ right_own,
            right @ np.isfinite(own).astype(np.float32),
        )
    z = (ahead - behind) / np.sqrt(np.maximum(ahead + behind - 2 * both, 1))
    low, high = _ranges(z[None], len(others), level)[0]
    return int(low), int(high)
