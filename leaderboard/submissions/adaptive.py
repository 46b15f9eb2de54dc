"""The statistician as this app sees it: it plans adaptive runs, judges practice runs at once, and
compares watched runs.

The statistics stand in the app ``evidence``, above this one; it appoints itself when the site
starts (:func:`appoint`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from leaderboard.submissions.models import Change, Run, RunPlan


@dataclass(frozen=True)
class PlanDraft:
    """Facts of a plan that follow from the panel.

    ``public`` and ``private`` hold for each item of the whole sets the number of references that
    answered it right; ``contract.UNPLANNED`` for sealed items outside the item selection.
    """

    references: tuple[UUID, ...]
    looks: tuple[int, ...]
    levels: tuple[float, ...]
    futility: tuple[float, ...]
    public: bytes
    private: bytes


@dataclass(frozen=True)
class RawGap:
    """Scores of one run on both sets, and the 95% interval of their gap, as fractions."""

    first: float
    second: float
    low: float
    high: float


class Statistician(Protocol):
    """Plans adaptive runs, decides at each look whether a run goes on, judges practice runs, and
    compares watched ones."""

    def draft(self, run: Run, items: frozenset[int]) -> PlanDraft | None:
        """Return the plan of a run on these sealed items; None where it has to be asked all."""

    def result(self, plan: RunPlan) -> dict[str, Any] | None:
        """Return the result of a run that ends at its current look; None where it goes on."""

    def raw_gap(self, run: Run) -> RawGap:
        """Return the gap between the two public sets of a graded practice run."""

    def change(self, before: Run, now: Run) -> Change:
        """Return how the answers changed to the public items that two graded runs were asked."""


_appointed: list[Callable[[], Statistician]] = []


def appoint(load: Callable[[], Statistician]) -> None:
    """Have the statistician that ``load`` returns do this work from now on.

    It is loaded when it is first asked for: web processes have no use for the statistics.
    """
    _appointed[:] = [load]


def statistician() -> Statistician:
    """Return the statistician that was appointed."""
    return _appointed[0]()
