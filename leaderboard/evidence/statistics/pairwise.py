"""Comparison of every model with every other on the items both answered, by matrix products."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
BLOCK = 512


def discordances(matrix: Floats) -> tuple[Floats, Floats]:
    """Return ``wins[j, k]``, the items that j has right and k wrong, and ``common[j, k]``.

    ``common`` counts the items that both answered; ``matrix`` is (models, items) of 0, 1 and NaN.
    With shares x between 0 and 1, ``wins`` is half the sum of (x_j - x_k)² + (x_j - x_k): then too
    the difference of both wins is that of the sums, and their sum that of the squared differences.
    """
    right, answered = _right_and_answered(matrix)
    both_right = (right @ right.T).astype(float)
    # Single outcomes are their own squares, so that these are the right ones and 0.
    own = (right**2 + right) / 2
    other = (right**2 - right) / 2
    if answered is None:
        row_sums = own.sum(axis=1, dtype=float)
        column_sums = other.sum(axis=1, dtype=float)
        wins = row_sums[:, None] + column_sums[None, :] - both_right
        return wins, np.full_like(both_right, matrix.shape[1])
    own_sums = own @ answered.T
    other_sums = answered @ other.T
    sums = (own_sums + other_sums).astype(float)
    common = (answered @ answered.T).astype(float)
    return sums - both_right, common


def pairwise_sets(matrix: Floats, level: float) -> NDArray[np.int64]:
    """Return marginal (low, high) ranks (models, 2): paired tests, adjusted by Holm within a row.

    z = (b - c)/√(b + c), two-sided, for each pair's discordant items b and c: Q. McNemar (1947).
    Each range contains its model's rank with probability ``level``; nothing holds for all ranges at
    once. Blocks of rows are in single precision, which counts up to 16 million items exactly.
    """
    result = np.empty((len(matrix), 2), dtype=np.int64)
    right, answered = _right_and_answered(matrix)
    scores = right.sum(axis=1)
    squared = right**2
    sums = squared.sum(axis=1)
    for start in range(0, len(matrix), BLOCK):
        rows = slice(start, start + BLOCK)
        both_right = right[rows] @ right.T
        if answered is None:
            difference = scores[rows, None] - scores[None, :]
            total = sums[rows, None] + sums[None, :]
        else:
            own = right[rows] @ answered.T
            other = answered[rows] @ right.T
            difference = own - other
            total = own + other
            if not np.array_equal(squared, right):
                own_squares = squared[rows] @ answered.T
                other_squares = answered[rows] @ squared.T
                total = own_squares + other_squares
        discordant = total - 2 * both_right
        # z is 0 where no item is discordant.
        np.maximum(discordant, 1, out=discordant)
        z = difference / np.sqrt(discordant)
        result[rows] = _ranges(z, len(matrix) - 1, level)
    return result


def _ranges(z: Singles, comparisons: int, level: float) -> NDArray[np.int64]:
    """Return (low, high) ranks (rows, 2) after Holm's step-down within each row of tests."""
    # thresholds[r]: |z| that a pair must exceed once r others of its row are rejected.
    remaining = np.maximum(np.arange(comparisons, -1, -1), 1)
    tails = (1 - level) / (2 * remaining)
    thresholds = -ndtri(tails).astype(np.float32)
    size = np.abs(z)
    rejected = np.zeros(len(z), dtype=np.int64)
    while True:
        threshold = thresholds[rejected][:, None]
        count = (size > threshold).sum(axis=1)
        if np.array_equal(count, rejected):
            break
        rejected = count
    above = (z < -threshold).sum(axis=1)
    below = (z > threshold).sum(axis=1)
    low = 1 + above
    high = comparisons + 1 - below
    return np.stack([low, high], axis=1)


def _right_and_answered(matrix: Floats) -> tuple[Singles, Singles | None]:
    """Return right answers, and answered items (None if every item was answered)."""
    answered = np.isfinite(matrix)
    if answered.all():
        return matrix.astype(np.float32), None
    right = np.where(answered, matrix, 0)
    return right.astype(np.float32), answered.astype(np.float32)
