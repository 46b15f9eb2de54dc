"""How much of the panel a word rests on: the fewest references whose contamination would change it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from leaderboard.evidence.statistics.adjusted import AdjustedGap, gaps_against
from leaderboard.evidence.statistics.logits import Sides, logits
from leaderboard.evidence.statistics.panel import Panel, fit_panel

CONTAMINATION = 0.05


class Fragility(NamedTuple):
    """The fewest references that would change a word; ``None`` where not even all of them would.

    ``hidden``: so many references are contaminated already, and without it the word would be another.
    ``masked``: had so many more been contaminated, the word would have been another.
    """

    hidden: int | None
    masked: int | None

    @property
    def fewest(self) -> int | None:
        """The smaller of the two."""
        return min((one for one in self if one is not None), default=None)


def fewest_contaminated(
    target: Sides,
    references: Sequence[Sides],
    word: Callable[[AdjustedGap], object],
    contamination: float = CONTAMINATION,
) -> Fragility:
    """How many references, contaminated by ``contamination`` of the public set's items, would change ``word``.

    ``word`` maps a gap to its word, the cohort's other p-values held; the panel is fitted anew (robustly) each time.
    Each reference is tried by itself; beyond one, they are added in order of their pull on the curve at the target, so
    that larger numbers are upper bounds of the fewest. Raises ``ValueError`` as :func:`fit_panel` does.
    """
    panel = fit_panel(references)
    before = word(gaps_against(panel, [target])[0])
    order = _by_pull(panel, target, references)

    def changes(places: Sequence[int], share: float) -> bool:
        moved = [_shifted(one, share) if i in places else one for i, one in enumerate(references)]
        return bool(word(gaps_against(fit_panel(moved), [target])[0]) != before)

    def first_change(share: float) -> int | None:
        if any(changes([place], share) for place in order):
            return 1
        return next(
            (count for count in range(2, len(order) + 1) if changes(order[:count], share)), None
        )

    return Fragility(hidden=first_change(-contamination), masked=first_change(contamination))


def _by_pull(panel: Panel, target: Sides, references: Sequence[Sides]) -> list[int]:
    """The places of the references, by how much a higher public score lifts the curve at the target."""
    data, (x, *_) = logits(references), logits([target])
    weights = 1 / (data.vy + panel.slope(data.x) ** 2 * data.vx + panel.tau2)
    pull = panel.design(data.x) @ panel.covariance @ panel.design(x)[0] * weights
    # A point more or less moves a logit by 1/(pq): easiest at the ends.
    pull = pull * data.vy * np.array([one.public_n for one in references])
    trusted = np.isin(np.arange(len(references)), panel.used)
    return list(np.lexsort((-pull, ~trusted)))


def _shifted(one: Sides, share: float) -> Sides:
    right = one.public_right + round(share * one.public_n)
    return one._replace(public_right=min(max(right, 0), one.public_n))
