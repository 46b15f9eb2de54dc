"""Fewest contaminated references that would change an evidence level."""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from leaderboard.evidence.statistics.adjusted import AdjustedGap, gaps_against
from leaderboard.evidence.statistics.logits import Sides, logits
from leaderboard.evidence.statistics.panel import Panel, fit_panel

CONTAMINATION = 0.05


class Fragility(NamedTuple):
    """Fewest references that would change an evidence level; None if not even all of them would.

    - ``hidden``: so many are contaminated now, and without it the level would be another;
    - ``masked``: so many are clean now, and with contamination the level would be another.
    """

    hidden: int | None
    masked: int | None

    @property
    def fewest(self) -> int | None:
        """The smaller of the two numbers."""
        counts = [count for count in self if count is not None]
        return min(counts, default=None)


def fewest_contaminated(
    target: Sides,
    references: Sequence[Sides],
    level: Callable[[AdjustedGap], object],
    contamination: float = CONTAMINATION,
    *,
    lineages: Sequence[Hashable] | None = None,
) -> Fragility:
    """Return the number of references whose contamination would change the evidence level.

    ``contamination`` is the share of the public set's items that such a reference gains. ``level``
    maps a gap to its evidence level. Without ``lineages`` each reference is of its own. The panel
    is fitted again (robustly) each time.

    Each reference is tried by itself. Beyond one, they are added in order of their pull on the
    curve at the target, so larger numbers are upper bounds. Raises ValueError as :func:`fit_panel`
    does.
    """
    panel = fit_panel(references, lineages)
    before = level(gaps_against(panel, [target])[0])
    order = _by_pull(panel, target, references)

    def changes(places: Sequence[int], share: float) -> bool:
        shifted = list(references)
        for place in places:
            reference = references[place]
            right = reference.public_right + round(share * reference.public_n)
            within_bounds = min(max(right, 0), reference.public_n)
            shifted[place] = reference._replace(public_right=within_bounds)
        gap = gaps_against(fit_panel(shifted, lineages), [target])[0]
        return bool(level(gap) != before)

    def first_change(share: float) -> int | None:
        if any(changes([place], share) for place in order):
            return 1
        for count in range(2, len(order) + 1):
            if changes(order[:count], share):
                return count
        return None

    return Fragility(hidden=first_change(-contamination), masked=first_change(contamination))


def _by_pull(panel: Panel, target: Sides, references: Sequence[Sides]) -> list[int]:
    """Return the references' places by the lift of the curve at the target, the largest first.

    The lift is that of one more right public answer of the reference. References that the panel
    puts aside come last.
    """
    data = logits(references)
    of_private = panel.slope(data.x) ** 2 * data.vx
    variance = data.vy + of_private + panel.tau2
    weights = 1 / variance
    calibration = panel.calibration
    ability = logits([target]).x
    at_references = calibration.design(data.x)
    at_target = calibration.design(ability)[0]
    pull = at_references @ calibration.covariance @ at_target * weights
    # One answer more moves a logit by 1/(pq): by most near 0 and 1.
    public_n = np.array([reference.public_n for reference in references])
    pull = pull * data.vy * public_n
    places = np.arange(len(references))
    used = np.isin(places, panel.used)
    return list(np.lexsort((-pull, ~used)))
