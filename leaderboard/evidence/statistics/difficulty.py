"""Comparison of two models on easy, middling and hard items.

An item's easiness is the share of other models that had it right. Neither of the two compared
models is among these: an item that one of them had by luck would count as easy, and against it.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from leaderboard.evidence.statistics.intervals import LEVEL
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.statistics.paired import Paired, paired

FEWEST_OTHERS = 5
"""Fewest other models that say how easy an item is."""
GROUPS = ("hard", "middling", "easy")


class DifficultyGroup(NamedTuple):
    """Third of the items by easiness, from ``low`` to ``high``, and the comparison on them."""

    name: str
    low: float
    high: float
    result: Paired


def by_difficulty(
    first: Floats,
    second: Floats,
    others: Floats,
    level: float = LEVEL,
) -> tuple[DifficultyGroup, ...]:
    """Compare two models on each third of the items, the hardest first.

    Outcomes are 0, 1 or missing (NaN); ``others`` has a row for each other model. Items of one
    easiness stay together, so that thirds differ in size and one may be missing. () for fewer than
    :data:`FEWEST_OTHERS` models.
    """
    if len(others) < FEWEST_OTHERS:
        return ()
    asked = np.isfinite(others).sum(axis=0)
    in_both = np.isfinite(first) & np.isfinite(second)
    shared = in_both & (asked > 0)
    if not shared.any():
        return ()
    right = np.nansum(others[:, shared], axis=0)
    easiness = right / asked[shared]
    # Equal values have one rank, the mean of theirs, and so one group.
    places = (rankdata(easiness) - 0.5) / len(easiness)
    thirds = (places * len(GROUPS)).astype(int)
    group_of = np.minimum(thirds, len(GROUPS) - 1)
    of_first = first[shared]
    of_second = second[shared]
    groups: list[DifficultyGroup] = []
    for number, name in enumerate(GROUPS):
        chosen = group_of == number
        if not chosen.any():
            continue
        of_group = easiness[chosen]
        group = DifficultyGroup(
            name=name,
            low=float(of_group.min()),
            high=float(of_group.max()),
            result=paired(of_first[chosen], of_second[chosen], level),
        )
        groups.append(group)
    return tuple(groups)
