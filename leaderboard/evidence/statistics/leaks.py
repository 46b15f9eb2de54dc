"""Test for a leak of the private set: items that were shown before against items that were not.

For endpoints these are items that the provider was shown before, against items that it saw for the
first time. For weights that we run without a network they are exposed blocks against local-only
ones. A stratified draw before first use decides the side of each item, so the two are exchangeable
and the plain test of two shares is the evidence.
"""

from typing import NamedTuple

from leaderboard.evidence.statistics.differences import miettinen_nurminen, score_test
from leaderboard.evidence.statistics.intervals import LEVEL, Interval
from leaderboard.evidence.statistics.power import visible_raw_gap


class Leak(NamedTuple):
    """Exposed less unexposed share, its interval, one-sided p, and the smallest visible leak."""

    difference: float
    interval: Interval
    p: float
    visible: float


def leak_contrast(
    exposed: tuple[int, int],
    unexposed: tuple[int, int],
    level: float = LEVEL,
) -> Leak:
    """Return the contrast of two (right, n): exposed items, and items never shown before.

    ``visible`` is the smallest difference found with a power of 80% at .05, one-sided; NaN where
    none would be found. Raises ValueError unless both are shares.
    """
    counts = (*exposed, *unexposed)
    interval = miettinen_nurminen(*counts, level)
    test = score_test(*counts)
    exposed_right, exposed_n = exposed
    unexposed_right, unexposed_n = unexposed
    difference = exposed_right / exposed_n - unexposed_right / unexposed_n
    # Adding half an answer keeps the share off 0 and 1.
    share = (unexposed_right + 0.5) / (unexposed_n + 1)
    return Leak(
        difference=difference,
        interval=interval,
        p=test.p_greater,
        visible=visible_raw_gap(share, exposed_n, unexposed_n),
    )
