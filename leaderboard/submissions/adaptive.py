"""Adaptive runs as this app sees them: the statistician who plans them and decides at each look.

The statistics stand in the app ``evidence``, above this one; it appoints itself when the site
starts (:func:`appoint`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from leaderboard.submissions.models import Run, RunPlan


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


class Statistician(Protocol):
    """Plans adaptive runs, and decides at each look whether a run goes on."""

    def draft(self, run: Run, items: frozenset[int]) -> PlanDraft | None:
        """Return the plan of a run on these sealed items; None where it has to be asked all."""

    def result(self, plan: RunPlan) -> dict[str, Any] | None:
        """Return the result of a run that ends at its current look; None where it goes on."""


_appointed: list[Callable[[], Statistician]] = []


def appoint(load: Callable[[], Statistician]) -> None:
    """Have the statistician that ``load`` returns plan all adaptive runs from now on.

    It is loaded when it is first asked for: web processes have no use for the statistics.
    """
    _appointed[:] = [load]


def statistician() -> Statistician:
    """Return the statistician that was appointed."""
    return _appointed[0]()
