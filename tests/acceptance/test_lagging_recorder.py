"""A recorder that lags by several leases ends no live run, and hides no evaluator that is lost."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.problems import private_set, public_set
from demo.programs import ROOT
from leaderboard.celery import BEAT_SECONDS

ROWS = (public_set()[:120], private_set()[:120])
TOTAL = 240
LAG_LEASES = 2.4
SLACK_SECONDS = 6.0
"""For two slow cores, and for a run to be seen by the API."""

pytestmark = pytest.mark.slow


@pytest.fixture
def begun(make_house, steady) -> Callable[..., tuple]:
    """Begin a run on a site whose recorder is a program apart from all others."""

    def begin(source: Path = ROOT) -> tuple:
        house = make_house(rows=ROWS, source=source, HOLDFAST_CONCURRENCY="4")
        endpoint = steady(*ROWS, latency=0.3)
        house.place.allow_endpoints([(endpoint.url, "steady")])
        place = house.place
        house.processes["recorder"] = place.start_worker("recorder", "record")
        house.processes["housekeeping"] = place.start_worker(
            "housekeeping", "rankings,housekeeping", beat=True
        )
        house.begin("evaluator", "site")
        run = house.submit_endpoint("patient", endpoint)
        house.wait(run, lambda state: state["state"] == "running" and state["done"] > 10)
        return house, endpoint, run

    return begin


def pause(house, during: Callable[[], None] = lambda: None) -> None:
    """Stop the recorder for more than two leases."""
    recorder = house.processes["recorder"].pid
    os.kill(recorder, signal.SIGSTOP)
    try:
        during()
        time.sleep(LAG_LEASES * house.place.lease_seconds)
    finally:
        os.kill(recorder, signal.SIGCONT)


def attempts(house, run: str) -> tuple[int, int]:
    [(token, number)] = house.query(
        "SELECT token, attempts FROM submissions_run WHERE id = %s", run
    )
    return token, number


def lag(begun: Callable[..., tuple], source: Path = ROOT) -> tuple:
    house, endpoint, run = begun(source)
    before = sum(endpoint.received().values())
    pause(house)
    asked = sum(endpoint.received().values()) - before
    house.ranked(run)
    return attempts(house, run), asked, endpoint.received()


def test_a_live_run_is_ranked_on_its_first_attempt(begun) -> None:
    made, asked, received = lag(begun)
    assert made == (1, 1)
    assert asked > TOTAL / 3, "the evaluator went on while nothing was recorded"
    assert set(received.values()) == {1}
    assert len(received) == TOTAL


@pytest.mark.long
def test_it_costs_an_attempt_where_only_answers_renew_a_lease(begun, mutant) -> None:
    """The test above can fail: in this build the evaluator does not count what the broker took."""
    source = mutant("evaluator/worker.py", "accepted=leases.accepted", "accepted=lambda _: None")
    made, _, _ = lag(begun, source)
    assert made > (1, 1)


@pytest.mark.long
def test_a_lost_evaluator_is_found_a_lease_after_its_recorder_is_back(begun) -> None:
    house, _, run = begun()
    pause(house, during=lambda: house.kill("evaluator"))
    back = time.monotonic()
    assert attempts(house, run) == (1, 1), "nothing was judged while nothing was recorded"
    bound = house.place.lease_seconds + 2 * BEAT_SECONDS + SLACK_SECONDS
    while attempts(house, run)[0] == 1:
        assert time.monotonic() < back + bound, "the lost attempt holds its run"
        time.sleep(0.1)
    house.begin("evaluator")
    house.ranked(run)
    assert attempts(house, run) == (2, 2)
