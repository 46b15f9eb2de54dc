"""Has the private set leaked? What was shown before against what was not, with what the test could have seen.

For endpoints: the score on items that the provider had seen before against items at first contact. For weights that we
run without a network: exposed blocks against local-only ones. Items go to either side by a stratified draw before first
use, so the two are exchangeable and the plain test of two shares is the evidence; where outcomes of references exist,
method B with "exposed" in place of "public" adjusts for what differs all the same.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from leaderboard.evidence.statistics.ancova import ItemGap, item_gap
from leaderboard.evidence.statistics.differences import miettinen_nurminen, score_test
from leaderboard.evidence.statistics.intervals import LEVEL, Interval
from leaderboard.evidence.statistics.power import visible_raw_gap


class Leak(NamedTuple):
    """Exposed less unexposed, as a fraction: its interval, its one-sided p, the smallest leak that would be seen."""

    difference: float
    interval: Interval
    p: float
    visible: float


def leak_contrast(
    exposed: tuple[int, int], unexposed: tuple[int, int], level: float = LEVEL
) -> Leak:
    """The contrast of two (right, n): items shown before, and items shown for the first time or never sent out.

    ``visible`` is the smallest difference found four times in five at .05, one-sided (NaN where none is).
    Raises ``ValueError`` unless both are shares.
    """
    counts = (*exposed, *unexposed)
    interval, test = miettinen_nurminen(*counts, level), score_test(*counts)
    share = (unexposed[0] + 0.5) / (unexposed[1] + 1)
    difference = exposed[0] / exposed[1] - unexposed[0] / unexposed[1]
    return Leak(
        difference, interval, test.p_greater, visible_raw_gap(share, exposed[1], unexposed[1])
    )


def leak_contrast_by_item(
    target: tuple[ArrayLike, ArrayLike],
    references: tuple[ArrayLike, ArrayLike],
    level: float = LEVEL,
) -> ItemGap:
    """As :func:`item_gap`, for (exposed, unexposed) outcomes; references are models whose provider never saw the items.

    Raises ``ValueError`` as :func:`item_gap` does.
    """
    return item_gap(target, references, level)


def canaries_by_chance(hits: ArrayLike) -> float:
    """The chance ``Π p_k`` that a model gives all k unique wrong golds by itself, from the chance of each.

    Raises ``ValueError`` unless each lies between 0 and 1.
    """
    chances = np.asarray(hits, dtype=float)
    if np.any((chances < 0) | (chances > 1)):
        raise ValueError("a chance lies between 0 and 1")
    return float(np.prod(chances))
