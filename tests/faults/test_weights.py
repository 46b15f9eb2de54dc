"""A run of weights whose evaluator is killed, and that another evaluator ends.

Both have answered a part of it, so that the row can be verified only where both have closed theirs.
Other faults are tried on endpoints: what they change does not depend on what is asked.
"""

import os
import signal
import time
import uuid
from collections.abc import Callable

import pytest

from tests.faults.fleet import Fleet
from tests.faults.invariants import INVARIANTS
from tests.faults.results import FIGURES, LONGEST
from tests.faults.strikes import token_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


@pytest.fixture
def checked() -> tuple[str, ...]:
    """All but I3: a model answers otherwise than the endpoint of the undisturbed run."""
    return tuple(name for name in INVARIANTS if name != "I3")


def test_w02_weights_are_ended_by_another_evaluator(
    fleet: Fleet, record_property: Callable[[str, object], None]
) -> None:
    name = f"w-{uuid.uuid4().hex[:8]}"
    began = time.monotonic()
    run = fleet.house.submit(name, kind="checkpoint", checkpoint="small")
    fleet.under_way(run)
    os.killpg(fleet.pid(fleet.busy()), signal.SIGKILL)
    done = fleet.house.run(run)["done"]
    end = fleet.house.ranked(run, seconds=240)  # and the killed one is not started before
    record_property(
        FIGURES,
        {
            "fault": "W02-weights",
            "state": end["state"],
            "attempts": token_of(fleet, run),
            LONGEST: round(time.monotonic() - began, 1),
            "reported before": done,
        },
    )
    assert token_of(fleet, run) == 2
    by = fleet.house.query("SELECT DISTINCT from_worker FROM audit.outcome WHERE run = %s", run)
    assert len(by) == 2
