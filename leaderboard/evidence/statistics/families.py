"""What the errors of a family's adjusted gaps have in common: the same items, and the same panel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from leaderboard.evidence.statistics.logits import Floats, Sides, logits
from leaderboard.evidence.statistics.panel import Panel


def adjusted_covariance(
    panel: Panel, members: Sequence[Sides], public: ArrayLike, private: ArrayLike
) -> Floats:
    """The covariance (k, k) of k adjusted gaps, as fractions, for :func:`family_gap`; τ² is left to it.

    ``public`` and ``private`` are the members' outcomes (k, items) of 0 and 1. By the delta method, with
    G = public − expit(f(x)): a gap moves by 1 with the public share, by −q(1−q) f'(x)/(p(1−p)) with the private
    share p, and by −q(1−q)(1, x, x²) with the curve, where q = expit(f(x)).
    A cautious figure: how hard the drawn items are for everyone is in it, though the curve takes most of that away.
    Raises ``ValueError`` for shapes that do not fit.
    """
    sides = [np.atleast_2d(np.asarray(side, dtype=float)) for side in (public, private)]
    if any(len(side) != len(members) for side in sides):
        raise ValueError("a family needs the outcomes of each member on both sets")
    x = logits(members).x
    q, p = expit(panel.expected(x)), expit(x)
    moved = q * (1 - q) * panel.slope(x) / (p * (1 - p))
    items = [np.atleast_2d(np.cov(side)) / side.shape[1] for side in sides]
    pull = panel.design(x) * (q * (1 - q))[:, None]
    return np.asarray(
        items[0] + items[1] * np.outer(moved, moved) + pull @ panel.covariance @ pull.T, dtype=float
    )
