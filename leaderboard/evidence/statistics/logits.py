"""Two shares of one model as points on the logit scale, with their sampling variances."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Sides(NamedTuple):
    """Right answers and items of one model on both sets; as :class:`verdicts.Counts`."""

    public_right: float
    public_n: float
    private_right: float
    private_n: float

    @property
    def public_share(self) -> float:
        """Public score as a fraction."""
        return self.public_right / self.public_n

    @property
    def private_share(self) -> float:
        """Private score as a fraction."""
        return self.private_right / self.private_n

    @property
    def gap(self) -> float:
        """Public less private score."""
        return self.public_share - self.private_share


class Logits(NamedTuple):
    """Empirical logits of m models and their sampling variances, (m,): x private, y public."""

    x: Floats
    y: Floats
    vx: Floats
    vy: Floats


def logits(models: Sequence[Sides]) -> Logits:
    """Return ``log((k + ½)/(n - k + ½))`` with variance ``1/(k + ½) + 1/(n - k + ½)``.

    J. J. Gart & J. R. Zweifel, Biometrika 54 (1967) 181. Raises ValueError unless 0 <= k <= n and
    n > 0 on both sides of each model.
    """
    table = np.array(models, dtype=float).reshape(-1, 4)
    right = table[:, [2, 0]]
    n = table[:, [3, 1]]
    is_no_share = (right < 0) | (right > n) | (n <= 0)
    if np.any(is_no_share):
        raise ValueError("a share needs 0 <= k <= n and n > 0")
    for_right = right + 0.5
    for_wrong = n - right + 0.5
    value = np.log(for_right / for_wrong)
    variance = 1 / for_right + 1 / for_wrong
    return Logits(
        x=value[:, 0],
        y=value[:, 1],
        vx=variance[:, 0],
        vy=variance[:, 1],
    )


def powers(x: Floats) -> Floats:
    """Return 1, x and x² as columns."""
    columns = [np.ones_like(x), x, x * x]
    return np.stack(columns, axis=-1)
