"""An evaluator that dies, and one that comes back from the dead, change no score and count nothing twice."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from demo.problems import private_set, public_set
from demo.programs import ROOT

ROWS = (public_set()[:120], private_set()[:120])
TOTAL = 240
IN_FLIGHT = 8
HANDED_OVER = 3 * IN_FLIGHT
"""Questions that the gateway has in hand at most: see ``evaluator.pipeline.plan.WAITING``."""


def has_some(state: dict) -> bool:
    return state["state"] == "running" and state["done"] > 20


def scores(house, model: str) -> tuple:
    row = house.board()[model]
    return row["public"]["right"], row["public"]["n"], row["private"]["right"], row["private"]["n"]


def assert_counted_once(house, run: str) -> None:
    """Every item has exactly one outcome, and the counts are those of the packed column."""
    stored = house.query(
        'SELECT packed, n, "right", wrong, no_answer, truncated FROM submissions_runoutcomes WHERE run_id = %s',
        run,
    )
    assert len(stored) == 2
    for packed, n, *counts in stored:
        assert len(packed) == n == sum(counts)
        assert [bytes(packed).count(code) for code in (1, 2, 3, 4)] == counts


@pytest.fixture
def disturbed(make_house, steady) -> Callable[..., tuple]:
    """A house in which one run went undisturbed and a second one is under way."""

    def begin(source: Path = ROOT) -> tuple:
        house = make_house(rows=ROWS, source=source, HOLDFAST_CONCURRENCY=str(IN_FLIGHT))
        endpoint = steady(*ROWS)
        house.place.allow_endpoints([(endpoint.url, "steady")])
        house.begin("recorder", "evaluator", "site")
        house.ranked(house.submit_endpoint("undisturbed", endpoint))
        before = endpoint.received()
        run = house.submit_endpoint("disturbed", endpoint)
        house.wait(run, has_some)
        return house, endpoint, run, before

    return begin


def recorded(house, run: str) -> int:
    """How many items have an outcome in the database."""
    sql = 'SELECT sum("right" + wrong + no_answer + truncated) FROM submissions_runoutcomes WHERE run_id = %s'
    return int(house.query(sql, run)[0][0])


@pytest.mark.slow
def test_killed(disturbed) -> None:
    house, endpoint, run, before = disturbed()
    house.kill("evaluator")
    asked = sum(endpoint.received().values()) - sum(before.values())
    kept = recorded(house, run)
    assert 20 < kept <= asked < TOTAL, "the kill came too early or too late to disturb anything"
    house.begin("evaluator")
    house.ranked(run)
    assert scores(house, "disturbed") == scores(house, "undisturbed")
    assert_counted_once(house, run)
    again = sum(endpoint.received().values()) - sum(before.values()) - TOTAL
    assert again <= asked - kept, "an item was asked again although its outcome was recorded"


@pytest.mark.long
@pytest.mark.slow
def test_a_broker_that_forgets_everything(make_house, steady) -> None:
    """The evaluator has done its work, and every report of its end is gone with the broker's memory."""
    house = make_house(rows=ROWS)
    endpoint = steady(*ROWS, latency=0.2)
    house.place.allow_endpoints([(endpoint.url, "steady")])
    house.begin("recorder", "evaluator", "site")
    run = house.submit_endpoint("forgotten", endpoint)
    house.wait(run, lambda state: state["state"] == "running")
    house.kill("recorder")
    broker = redis.Redis.from_url(house.place.broker_url.replace("redis+socket://", "unix://"))
    until = time.monotonic() + 60
    while any((house.place.folder / "evaluator/home/spool").rglob("*.json")) or endpoint_is_asked(
        endpoint
    ):
        assert time.monotonic() < until
    assert house.run(run)["state"] == "running"
    broker.flushall()
    house.begin("recorder")
    house.ranked(run)
    assert_counted_once(house, run)
    assert sum(endpoint.received().values()) <= TOTAL + HANDED_OVER


def endpoint_is_asked(endpoint) -> bool:
    before = endpoint.received()
    time.sleep(1.0)
    return endpoint.received() != before


def pause_past_the_lease(disturbed, source: Path = ROOT) -> tuple:
    """Stop the evaluator until its lease is gone, then let it go on with what its gateway was answered: falsely."""
    house, endpoint, run, before = disturbed(source)
    evaluator = house.processes["evaluator"].pid
    os.kill(evaluator, signal.SIGSTOP)
    endpoint.post(f"/lie?times={IN_FLIGHT}")
    house.wait(run, lambda state: state["state"] == "queued", seconds=30)
    asked = sum(endpoint.received().values()) - sum(before.values())
    assert TOTAL - asked > 20, "the pause came too late to disturb anything"
    os.kill(evaluator, signal.SIGCONT)
    house.wait(run, lambda state: state["state"] in ("ranked", "failed"))
    return house, endpoint, run, before


def assert_undisturbed(house, run: str) -> None:
    assert house.run(run)["state"] == "ranked"
    assert scores(house, "disturbed") == scores(house, "undisturbed")
    assert_counted_once(house, run)


def assert_asked_once(endpoint, before: dict[str, int]) -> None:
    """The attempt whose lease was gone asked nothing more: only what was under way was asked again by the next."""
    again = sum(endpoint.received().values()) - sum(before.values()) - TOTAL
    assert again <= HANDED_OVER, f"{again} items were asked by both attempts"


@pytest.mark.long
@pytest.mark.slow
def test_paused_past_its_lease(disturbed) -> None:
    house, endpoint, run, before = pause_past_the_lease(disturbed)
    assert_undisturbed(house, run)
    assert_asked_once(endpoint, before)
    assert house.query("SELECT stale_reports FROM submissions_run WHERE id = %s", run)[0][0] > 0


@pytest.mark.long
@pytest.mark.slow
def test_pause_is_noticed_without_the_token_check(disturbed, mutant) -> None:
    """The same scenario on a build whose recorder takes reports of any attempt: it has to fail there."""
    source = mutant(
        "leaderboard/submissions/states.py",
        "same_token = token == attempt.token",
        "same_token = True",
    )
    house, _, run, _ = pause_past_the_lease(disturbed, source)
    with pytest.raises(AssertionError):
        assert_undisturbed(house, run)
