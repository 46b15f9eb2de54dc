"""Two evaluators on one pool, and a queue that is longer than a message lives: every item is asked once."""

from collections import Counter
from dataclasses import replace

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from evaluator.contract import unpack_bits

ROWS = (public_set()[:40], private_set()[:40])
RUNS = 6

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def pair_of(make_house, steady):
    """A house with two evaluators, an endpoint that takes seconds for each run, and short-lived messages."""

    def begin(*running: str):
        house = make_house(rows=ROWS, HOLDFAST_REDISPATCH_SECONDS="3", HOLDFAST_CONCURRENCY="4")
        house.place = replace(house.place, evaluators=2)
        prepare.enrol_evaluators(house.place, "twin")
        endpoint = steady(*ROWS, latency=0.3)
        house.place.allow_endpoints([(endpoint.url, "steady")])
        house.begin("recorder", "site", *running)
        return house, endpoint

    return begin


def test_a_queue_longer_than_a_message_lives(pair_of) -> None:
    house, endpoint = pair_of("evaluator", "evaluator-2")
    runs = [house.submit_endpoint(f"model-{number}", endpoint) for number in range(RUNS)]
    for run in runs:
        house.ranked(run, seconds=150)
    assert set(endpoint.received().values()) == {RUNS}
    shown: Counter[tuple[str, int, int]] = Counter()
    lines = house.query(
        "SELECT line FROM ledger_entry WHERE kind = 'exposure' AND set_name = 'twin'"
    )
    for (line,) in lines:
        shown.update(
            (line["run"], line["token"], index) for index in unpack_bits(line["items"], 40)
        )
    assert set(shown.values()) == {1}
    assert len(shown) == RUNS * 40
    names = house.query("SELECT DISTINCT evaluator_id FROM submissions_run")
    assert len(names) == 2, "both took a part"


def test_a_run_that_was_cancelled_in_the_queue_is_never_asked(pair_of) -> None:
    house, endpoint = pair_of()
    run = house.submit_endpoint("withdrawn", endpoint)
    house.place.post(f"/api/v1/runs/{run}/cancel", {}, token=house.token)
    house.begin("evaluator", "evaluator-2")
    other = house.submit_endpoint("other", endpoint)
    house.ranked(other)
    assert set(endpoint.received().values()) == {1}
