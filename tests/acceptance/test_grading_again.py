"""A run through the real programs, graded again where its answers are kept: old rows stay, the difference is logged."""

import time
from collections.abc import Callable

import pytest

from demo.problems import private_set, public_set

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(600)]

ROWS = (public_set()[:40], private_set()[:40])
STRICT = "lm-eval-strict-3"


def packed(house, run: str) -> list[bytes]:
    sql = "SELECT packed FROM submissions_runoutcomes WHERE run_id = %s ORDER BY id"
    return [bytes(row[0]) for row in house.query(sql, run)]


def orders(house, run: str) -> list[tuple[str, str]]:
    """(state, code) of every order, oldest first."""
    return house.query(
        "SELECT state, code FROM submissions_rescoring WHERE run_id = %s ORDER BY id", run
    )


def until_answered(house, run: str, count: int) -> list[tuple[str, str]]:
    end = time.monotonic() + 60
    while len(found := orders(house, run)) < count or any(state == "asked" for state, _ in found):
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


@pytest.fixture
def graded(make_house: Callable, steady: Callable) -> tuple:
    house = make_house(rows=ROWS)
    endpoint = steady(*ROWS, latency=0.01)
    house.place.allow_endpoints([(endpoint.url, "steady")])
    house.begin("recorder", "evaluator", "site")
    run = house.submit_endpoint("regraded", endpoint)
    state = house.ranked(run)
    house.place.manage("make_maintainer", "author")
    return house, endpoint, run, state


def test_a_run_is_graded_again_and_the_board_is_made_of_it_when_switched(graded: tuple) -> None:
    house, endpoint, run, state = graded
    beside = {(one["grader"], one["set"]): one for one in state["graders"]}
    assert len(beside) == 8 and all(one["known"] == one["n"] == 40 for one in beside.values())
    before, asked, row = (
        packed(house, run),
        sum(endpoint.received().values()),
        house.board()["regraded"],
    )
    exposures = "SELECT count(*) FROM ledger_entry WHERE run = %s AND kind = 'exposure'"
    shown = house.query(exposures, run)[0][0]
    house.place.manage("rescore_runs", "twins", "--grader", STRICT, "--by", "author")
    assert until_answered(house, run, 1) == [("done", "")]
    assert packed(house, run) == before
    assert sum(endpoint.received().values()) == asked, "a model was asked"
    assert house.query(exposures, run)[0][0] == shown + 1
    again = house.query(
        'SELECT s.name, o."right", o.n, o.changed FROM submissions_rescoredoutcomes o'
        " JOIN benchmarks_itemset s ON s.id = o.item_set_id ORDER BY s.name"
    )
    for name, right, n, changed in again:
        assert (right, n) == (beside[STRICT, name]["right"], 40)
        assert sum(changed.values()) >= abs(beside["numeric-1", name]["right"] - right)
    told = house.place.manage("rescore_runs", "twins", "--show")
    assert f"{run} {STRICT} done" in told
    assert "rescored: order=1" in house.place.log("recorder").read_text()
    assert house.board()["regraded"]["private"] == row["private"]
    house.place.manage("switch_grader", "twins", STRICT, "--by", "author")
    end = time.monotonic() + 60
    while (row := house.board()["regraded"])["grader"] != STRICT:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert row["private"]["right"] == beside[STRICT, "twin"]["right"]
    assert row["public"]["right"] == beside[STRICT, "open"]["right"]


def test_an_evaluator_that_was_away_answers_and_one_that_lost_its_answers_says_so(
    graded: tuple,
) -> None:
    house, _, run, _ = graded
    house.kill("evaluator")
    house.place.manage("rescore_runs", "twins", "--grader", STRICT, "--by", "author", "--run", run)
    assert orders(house, run) == [("asked", "")]
    for kept in (house.place.folder / "evaluator/home/completions").glob("*.sealed"):
        kept.unlink()
    house.begin("evaluator")
    assert until_answered(house, run, 1) == [("failed", "completions_missing")]
