"""A count below the minimum cell size is published nowhere, also of a set with too small a part."""

from typing import Any

import msgspec
import pytest
from django.test import Client

from evaluator.contract import MIN_CELL_SIZE, Outcome
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.submissions import actions
from leaderboard.submissions.models import PublicCounts, Run, outcomes, run_counts
from tests.leaderboard import ruled
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import PRIVATE_N, FakeEvaluator

pytestmark = pytest.mark.django_db


@pytest.fixture
def small() -> SetPair:
    """Nine sealed items, under the usual cell."""
    return ruled.make_pair(sealed=msgspec.structs.replace(ruled.manifest(), cell=MIN_CELL_SIZE))


@pytest.fixture
def run(small: SetPair, evaluator: FakeEvaluator) -> Run:
    evaluator.register()
    return ruled.grade(small, ruled.make_model("Alpha", "alpha"), 6, by=evaluator)


def told_anywhere(pair: SetPair, run: Run, client: Client) -> set[str]:
    """Where the private counts of the run are told."""
    board = publish(pair=pair).ranking()
    api = client.get(f"/api/v1/runs/{run.pk}").json()
    page = client.get(f"/runs/{run.pk}/").content.decode()
    found = {
        "board": bool(board),
        "evidence": bool(actions.weigh(pair).evidence.runs),
        "API": "private" in [one["set"] for one in api["sets"]],
        "graders": any(
            one["set"] == "private" and one["right"] is not None for one in api["graders"]
        ),
        "page": '<th scope="row">private' in page,
    }
    return {where for where, is_told in found.items() if is_told}


def test_a_small_cell_is_told_nowhere(small: SetPair, run: Run, client: Client) -> None:
    assert told_anywhere(small, run, client) == set()
    assert [one.set for one in run_counts(run)] == ["public"]


def test_without_the_gate_it_would_be_told(
    small: SetPair, run: Run, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "check_cell_size", lambda n, cell: None)
    assert told_anywhere(small, run, client) == {"board", "evidence", "API", "graders", "page"}


@pytest.mark.parametrize(("n", "cell"), [(1, 2), (99, 100)])
def test_the_value_itself_refuses_a_small_cell(n: int, cell: int) -> None:
    about: dict[str, Any] = {
        "set": "private",
        "sealed": True,
        "wrong": 0,
        "no_answer": 0,
        "truncated": 0,
    }
    with pytest.raises(ValueError, match="minimum cell size"):
        PublicCounts(**about, cell=cell, n=n, right=n)
    assert PublicCounts(**about, cell=cell, n=0, right=0).n == 0
    assert PublicCounts(**about, cell=cell, n=cell, right=n).right == n


def test_the_cell_is_that_of_the_manifest() -> None:
    sealed = ruled.make_pair()
    assert (sealed.private.cell, sealed.public.cell) == (1, 1)
    assert ItemSet(name="bare", sealed=True, n=5).cell == MIN_CELL_SIZE


def test_what_notices_leave_of_a_run_is_told_as_a_cell_or_not_at_all(
    evaluator: FakeEvaluator,
) -> None:
    pair = ruled.make_pair(sealed=msgspec.structs.replace(ruled.manifest(), cell=3))
    row = ruled.grade(pair, ruled.make_model("Alpha"), 6).outcomes.get(item_set=pair.private)
    found = [row.public_counts(frozenset(range(gone))) for gone in (0, 6, 7, 9)]
    assert [one and (one.n, one.right) for one in found] == [(PRIVATE_N, 6), (3, 0), None, (0, 0)]
    assert sum(bytes(row.packed).count(one) for one in Outcome) == PRIVATE_N
