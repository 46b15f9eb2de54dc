"""Thirty-two samples of each item through the whole house, with a kill in the middle."""

from collections.abc import Callable
from pathlib import Path

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from evaluator.contract import MIN_CELL_SIZE, Record, Votes
from evaluator.pipeline.plan import WAITING

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(420)]

PROTOCOL, SAMPLES, IN_FLIGHT = "lmsi-5shot-sc32", 32, 16
ROWS = (public_set()[:30], private_set()[:110])


def test_samples_are_asked_once_voted_on_and_told_of_as_aggregates(
    make_house: Callable, steady: Callable, tmp_path: Path
) -> None:
    prepare.write_rows(tmp_path / "shots.jsonl", public_set()[200:220])
    house = make_house(
        rows=ROWS, shots=tmp_path / "shots.jsonl", HOLDFAST_CONCURRENCY=str(IN_FLIGHT)
    )
    sets = ("--title", "Twins", "--public", "open", "--private", "twin", "--protocol", "demo-0shot")
    house.place.manage("register_pair", "twins", *sets, "--also", PROTOCOL)
    endpoint = steady(*ROWS, latency=0.01)
    house.place.allow_endpoints([(endpoint.url, "steady")])
    house.begin("recorder", "evaluator", "site")
    house.ranked(house.submit_endpoint("asked-as-usual", endpoint))
    before = sum(endpoint.received().values())
    run = house.submit_endpoint("sampled", endpoint, protocol=PROTOCOL, max_tokens=10**9)
    house.wait(run, lambda state: state["done"] >= 14)
    house.kill("evaluator")
    house.begin("evaluator")
    state = house.ranked(run, seconds=300)
    twice = sum(endpoint.received().values()) - before - SAMPLES * sum(map(len, ROWS))
    assert 0 <= twice <= WAITING * IN_FLIGHT, "samples that were kept were asked again"
    told = [Votes.from_dict(one["votes"]) for one in state["sets"]]
    assert [(one.n, one.samples) for one in told] == [(len(rows), SAMPLES) for rows in ROWS]
    assert [one.right for one in told] == [SAMPLES * one["right"] for one in state["sets"]]
    assert all(one.n >= MIN_CELL_SIZE for one in told[1].bins)
    record = Record.from_dict(state["record"])
    assert (record.protocol, record.returned, record.budget and record.budget.tokens) == (
        PROTOCOL,
        ("steady",),
        10**9,
    )
    assert all(one.pool for one in record.shots)
    assert state["attempts"] == 2
    assert set(house.board()) == {"asked-as-usual"}
