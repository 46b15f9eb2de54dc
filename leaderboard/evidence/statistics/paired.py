"""Comparison of two models on the items that both were asked."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from leaderboard.evidence.statistics.differences import joined
from leaderboard.evidence.statistics.intervals import LEVEL, Interval, critical_value


class Paired(NamedTuple):
    """Two models on ``n`` shared items: ``both`` are right for both, ``wins`` for the first only.

    ``difference`` is the first accuracy less the second, as a fraction; ``p`` is two-sided.
    """

    n: int
    both: int
    wins: int
    losses: int
    difference: float
    interval: Interval
    p: float


def paired(first: ArrayLike, second: ArrayLike, level: float = LEVEL) -> Paired:
    """Compare two models by their outcomes, 0, 1 or missing (NaN), item by item.

    Only items that have both outcomes count. ``p`` is McNemar's exact test: the two-sided binomial
    test of the discordant items at 1/2 (Q. McNemar, Psychometrika 12 (1947) 153). The interval adds
    one discordant item on each side: D. G. Bonett & R. M. Price, J. Educ. Behav. Stat. 37 (2012)
    479.

    Raises ValueError for lengths that differ, and where no item has both outcomes.
    """
    one = np.asarray(first, dtype=float)
    other = np.asarray(second, dtype=float)
    if one.ndim != 1 or one.shape != other.shape:
        raise ValueError("a paired comparison needs two outcomes for each item")
    shared = np.isfinite(one) & np.isfinite(other)
    n = int(shared.sum())
    if n == 0:
        raise ValueError("a paired comparison needs an item that both models were asked")
    is_win = (one == 1) & (other == 0)
    is_loss = (one == 0) & (other == 1)
    is_both = (one == 1) & (other == 1)
    wins = int(is_win.sum())
    losses = int(is_loss.sum())
    discordant = wins + losses
    p = 1.0
    if discordant:
        p = float(binomtest(wins, discordant).pvalue)
    # Bonett and Price's interval of the difference of two paired shares.
    won = (wins + 1) / (n + 2)
    lost = (losses + 1) / (n + 2)
    adjusted = won - lost
    variance = (won + lost - adjusted**2) / (n + 2)
    reach = critical_value(level) * float(np.sqrt(variance))
    low = max(adjusted - reach, -1.0)
    high = min(adjusted + reach, 1.0)
    return Paired(
        n=n,
        both=int(is_both.sum()),
        wins=wins,
        losses=losses,
        difference=(wins - losses) / n,
        interval=Interval(low, high),
        p=p,
    )


def gap_change(
    public: float,
    public_interval: tuple[float, float],
    private: float,
    private_interval: tuple[float, float],
) -> Interval:
    """Return the interval of one model's gap less another's, from both paired differences.

    The gaps differ by ``public - private``: the difference of the models on the public set less
    that on the private one. These are other items, so the estimates are independent and their
    intervals are joined as :func:`joined` does.
    """
    return joined(public, Interval(*public_interval), private, Interval(*private_interval))
