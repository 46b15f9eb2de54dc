"""Every model against every other on the items both answered, from one product of matrices."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

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
    p = len(matrix)
    # thresholds[r]: |z| that a pair must exceed after r others of the row were rejected; nothing is left after all were.
    left = np.maximum(np.arange(p - 1, -1, -1), 1)
    thresholds = -ndtri((1 - level) / (2 * left)).astype(np.float32)
    found = np.empty((p, 2), dtype=np.int64)
    for start, z in _statistics(matrix):
        size = np.abs(z)
        rejected = np.zeros(len(z), dtype=np.int64)
        while True:
            again = (size > thresholds[rejected][:, None]).sum(axis=1)
            if np.array_equal(again, rejected):
                break
            rejected = again
        bar = thresholds[rejected][:, None]
        rows = slice(start, start + len(z))
        found[rows, 0] = 1 + (z < -bar).sum(axis=1)
        found[rows, 1] = p - (z > bar).sum(axis=1)
    return found


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
