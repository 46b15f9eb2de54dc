"""From counts and an interval to one plain word about a model's gap."""

from enum import StrEnum
from typing import NamedTuple

from scipy.special import ndtri

from leaderboard.rankings.statistics.intervals import Interval, critical_value

CUT_SHARE = 0.02
"""Above this share of truncated answers on either set a gap says more about the limit than about the model."""
WIDEST_VISIBLE_GAP = 0.05
"""If a model's gap must be larger than this to be seen, its absence from view says nothing."""
SIGNIFICANCE, POWER = 0.95, 0.80


class Evidence(StrEnum):
    """What the raw gap of a model supports, for a pair of sets that are exchangeable by construction."""

    HIGHER_ON_PUBLIC = "higher_on_public"
    NO_EVIDENCE = "no_evidence"
    TOO_NOISY = "too_noisy"
    CUT_OFF = "cut_off"


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


def judge(public: Counts, private: Counts, gap: Interval, level: float) -> Evidence:
    """The evidence word, decided in a fixed order.

    Truncation above 2% on either set, then an interval wholly above zero, then an interval too wide to
    have shown a gap of 5 percentage points; what is left is no evidence. An interval wholly below zero has
    shown something, though not overfitting to the public set, so it is never called too noisy.
    """
    if any(side.truncated > CUT_SHARE * side.n for side in (public, private)):
        return Evidence.CUT_OFF
    if gap.low > 0:
        return Evidence.HIGHER_ON_PUBLIC
    if gap.high >= 0 and smallest_visible_gap(gap, level) > WIDEST_VISIBLE_GAP:
        return Evidence.TOO_NOISY
    return Evidence.NO_EVIDENCE
