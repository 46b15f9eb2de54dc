"""Storms: several runs at once, and three to eight faults of the table, drawn by a seed that replays them.

    make test-storms                                 # a hundred
    HOLDFAST_STORM_SEEDS="7 12" make test-faults     # these

Each storm prints a line when it ends: its seed, its faults, how its runs ended. A table follows.
"""

import contextlib
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from urllib.error import HTTPError

import pytest

from tests.faults.fleet import UNDER_WAY, Fleet, NobodyBusy
from tests.faults.results import FIGURES, LONGEST
from tests.faults.strikes import endpoint_restarted, submitted_fifty_times, token_of
from tests.faults.test_faults import CASES, Case, cancel

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

FEW = 5
RUNS = 8
CANCELLED_AFTER = 2
"""Number of faults after which the last run is cancelled, unless it has ended."""
PAUSES = (0.0, 4.0)
"""Seconds between two faults, from and to."""
STRIKING = [
    case
    for case in CASES
    # A restarted endpoint forgets what it was asked, and the fifty submissions are a test of their own.
    if case.fault not in (endpoint_restarted, submitted_fifty_times)
    # These need what a machine may not permit, or a database that no other fault has touched.
    and not case.id.startswith(("W07", "W20", "D06", "D07"))
]


def seeds() -> list[int]:
    """Return the seeds that the environment names, or as many as it asks for."""
    named = os.environ.get("HOLDFAST_STORM_SEEDS", "")
    return [int(one) for one in named.split()] or list(
        range(int(os.environ.get("HOLDFAST_STORMS", FEW)))
    )


def draw(seed: int) -> list[tuple[float, Case]]:
    """Return the faults of a storm, each with the pause before it."""
    chance = random.Random(seed)
    return [(chance.uniform(*PAUSES), chance.choice(STRIKING)) for _ in range(chance.randint(3, 8))]


@pytest.mark.parametrize("seed", seeds())
def test_storm(fleet: Fleet, seed: int, record_property: Callable[[str, object], None]) -> None:
    """All runs end as if nothing had happened, but for the one that its author cancels."""
    fleet.begin_all()
    fleet.settle()
    runs = [fleet.submit(f"s{seed}-{uuid.uuid4().hex[:8]}") for _ in range(RUNS)]
    began = time.monotonic()
    struck: list[str] = []
    for pause, case in draw(seed):
        time.sleep(pause)
        live = [run for run in runs if fleet.house.run(run)["state"] in UNDER_WAY]
        if not live:
            break
        try:
            case.fault(fleet, live[0])
        except NobodyBusy:
            break
        struck.append(case.id)
        fleet.begin_all()
        if len(struck) == CANCELLED_AFTER:
            with contextlib.suppress(HTTPError):  # it may have ended
                cancel(fleet, runs[-1])
    states, seconds = [], []
    for run in runs:
        states.append(fleet.ends(run, seconds=300)["state"])
        seconds.append(time.monotonic() - began)
    counts = Counter(states)
    equal = sum(fleet.outcomes(run) == fleet.undisturbed for run in runs)
    record_property(
        FIGURES,
        {
            "seed": seed,
            "faults": len(struck),
            "runs": RUNS,
            "ranked": counts["ranked"],
            "refused": counts["failed"],
            "cancelled": counts["cancelled"],
            "attempts": sum(token_of(fleet, run) for run in runs),
            LONGEST: round(max(seconds), 1),
            "struck by": " ".join(struck),
        },
    )
    assert states[:-1] == ["ranked"] * (RUNS - 1)
    assert states[-1] in ("ranked", "cancelled")
    assert equal >= counts["ranked"]
    assert sum(fleet.shown_twice(run) for run in runs) == 0
