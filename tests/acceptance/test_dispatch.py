"""A run begins as soon as it is submitted. No beat runs here, so that nothing else dispatches it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from demo.problems import private_set, public_set
from demo.programs import ROOT
from demo.services import wait_until

ROWS = (public_set()[:40], private_set()[:40])
APART = {"recorder": "record", "housekeeping": "housekeeping"}
TOGETHER = {"recorder": "record,rankings,housekeeping"}
IN_SERVICE = "SELECT count(*) FROM ledger_evaluator WHERE expected_by > now()"
WAITING_SECONDS = 5.0
"""More than two beats."""

pytestmark = pytest.mark.slow


@pytest.fixture
def submitted(make_house, steady) -> Callable[..., tuple]:
    """Submit a run to a site whose evaluator is in service; ``workers`` are queues by program."""

    def submit(workers: dict[str, str], source: Path = ROOT) -> tuple:
        house = make_house(rows=ROWS, source=source)
        endpoint = steady(*ROWS, latency=0.01)
        house.place.allow_endpoints([(endpoint.url, "steady")])
        for name, queues in workers.items():
            house.processes[name] = house.place.start_worker(name, queues)
        house.begin("evaluator", "site")
        wait_until(
            lambda: house.query(IN_SERVICE) == [(1,)],
            seconds=60,
            what="the evaluator",
            process=house.processes["evaluator"],
        )
        return house, house.submit_endpoint("prompt", endpoint)

    return submit


@pytest.mark.parametrize(
    "workers",
    [pytest.param(APART, id="programs-apart"), pytest.param(TOGETHER, id="one-program")],
)
def test_a_run_begins_without_a_beat(submitted, workers: dict[str, str]) -> None:
    house, run = submitted(workers)
    state = house.wait(run, lambda state: state["done"] == 80)
    assert state["state"] in ("running", "graded", "ranked")


@pytest.mark.long
def test_it_waits_where_a_submission_asks_for_no_dispatch(submitted, mutant) -> None:
    """The test above can fail: in this build the housekeeping is asked for nothing."""
    source = mutant(
        "leaderboard/submissions/dispatch.py",
        "app.send_task(DISPATCH_TASK, expires=2 * BEAT_SECONDS, retry=False)",
        "pass",
    )
    house, run = submitted(APART, source)
    with pytest.raises(AssertionError, match="'state': 'queued'"):
        house.wait(run, lambda state: state["state"] != "queued", seconds=WAITING_SECONDS)
