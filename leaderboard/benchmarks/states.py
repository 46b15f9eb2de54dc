"""States of a sealed set on its way to release, and the one table of steps between them. Pure.

A trigger in the database holds the same table (see the migration), so that no query can take
another step.
"""

from collections.abc import Mapping
from enum import StrEnum

from leaderboard.state_machine import Step


class SetState(StrEnum):
    """State of a sealed set. ``released`` is never left."""

    SEALED = "sealed"
    RELEASABLE = "releasable"
    PROPOSED = "proposed"
    RELEASED = "released"


STEPS: Mapping[tuple[SetState, SetState], Step] = {
    (SetState.SEALED, SetState.RELEASABLE): Step("the release rule is met", "recorder"),
    (SetState.RELEASABLE, SetState.SEALED): Step(
        "the rule is no longer met, as after a regrade", "recorder"
    ),
    (SetState.RELEASABLE, SetState.PROPOSED): Step(
        "the evidence is frozen to be signed", "maintainer"
    ),
    (SetState.PROPOSED, SetState.RELEASABLE): Step("the proposal is withdrawn", "maintainer"),
    (SetState.PROPOSED, SetState.SEALED): Step(
        "the rule is no longer met, as after a regrade", "recorder"
    ),
    (SetState.PROPOSED, SetState.RELEASED): Step(
        "the signed bundle verifies", "another maintainer"
    ),
}
