"""What a word about a gap is decided from: counts, the share that was cut off, and the smallest gap in sight."""

from typing import NamedTuple

from scipy.special import ndtri

from leaderboard.evidence.statistics.intervals import Interval, critical_value

CUT_SHARE = 0.02
"""Above this share of truncated answers on either set a gap says more about the limit than about the model."""
WIDEST_VISIBLE_GAP = 0.05
"""If a model's gap must be larger than this to be seen, its absence from view says nothing."""
SIGNIFICANCE, POWER = 0.95, 0.80


class Counts(NamedTuple):
    """One set's outcomes, as far as the evidence needs them: ``n`` is every assigned item."""

    right: int
    truncated: int
    n: int


def smallest_visible_gap(interval: Interval, level: float) -> float:
    """The true gap that a one-sided 5% test would find four times in five, as a fraction.

    ``(z.95 + z.80) · se``, where se is the half width of the gap's own interval over its critical value.
    Unlike the plug-in formula this does not shrink to nothing when a model gets everything right or wrong.
    """
    se = (interval.high - interval.low) / (2 * critical_value(level))
    return float(ndtri(SIGNIFICANCE) + ndtri(POWER)) * se
