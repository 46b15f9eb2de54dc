"""The states of a pair's sealed set on its way to release, and the one table of steps between them. Pure.

The same table stands in the database as a trigger (see the migration), so that no query can take another step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class PairState(StrEnum):
    """Whether the private set is still private. ``released`` is never left."""

    SEALED = "sealed"
    RELEASABLE = "releasable"
    PROPOSED = "proposed"
    RELEASED = "released"


@dataclass(frozen=True)
class Step:
    """Why a pair goes from one state to another, and who sees to it."""

    why: str
    by: str


STEPS: Mapping[tuple[PairState, PairState], Step] = {
    (PairState.SEALED, PairState.RELEASABLE): Step("the release rule is met", "recorder"),
    (PairState.RELEASABLE, PairState.SEALED): Step(
        "the rule is no longer met, as after a regrade", "recorder"
    ),
    (PairState.RELEASABLE, PairState.PROPOSED): Step(
        "the evidence is frozen to be signed", "maintainer"
    ),
    (PairState.PROPOSED, PairState.RELEASABLE): Step("the proposal is withdrawn", "maintainer"),
    (PairState.PROPOSED, PairState.SEALED): Step(
        "the rule is no longer met, as after a regrade", "recorder"
    ),
    (PairState.PROPOSED, PairState.RELEASED): Step(
        "the signed bundle verifies", "another maintainer"
    ),
}


class IllegalStep(Exception):
    """The table has no such step: a defect of the program, never of what was sent to it."""


def check_step(old: PairState, new: PairState) -> None:
    """Raise :class:`IllegalStep` unless the table holds the step."""
    if (old, new) not in STEPS:
        raise IllegalStep(f"{old} → {new}")
