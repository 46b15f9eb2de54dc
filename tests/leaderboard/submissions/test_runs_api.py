"""``GET /api/v1/runs``: what became of every run, and of one that is not ranked nothing else."""

from typing import Any

import msgspec
import pytest
from django.test import Client

from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.entries import entry_hash
from leaderboard.benchmarks.models import ItemSet
from leaderboard.ledger.models import Entry
from leaderboard.submissions import actions
from tests.leaderboard.conftest import PRIVATE_N, FakeEvaluator, truth
from tests.leaderboard.ruled import retract

HIDDEN = {
    "model": None,
    "evaluator": None,
    "retracted": False,
    "post_release": False,
    "queued_at": None,
    "ended_at": None,
}


def told(client: Client, query: str = "") -> dict[str, Any]:
    return {one["id"]: one for one in client.get(f"/api/v1/runs{query}").json()["runs"]}


def test_a_run_that_is_not_ranked_tells_nothing_else(
    client: Client, make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    waiting, graded, failed, cancelled, retracted = (
        make_run(model=f"Secret-{number}") for number in range(5)
    )
    for report in evaluator.begin(graded).story():
        actions.record_report(envelope=report)
    attempt = evaluator.begin(failed)
    for report in (attempt.started(), attempt.failed(Code.ENDPOINT_REFUSED)):
        actions.record_report(envelope=report)
    actions.cancel(run=cancelled.pk)
    retract(retracted.pk)
    runs = told(client)
    states = {
        "queued": (waiting, retracted),
        "graded": (graded,),
        "failed": (failed,),
        "cancelled": (cancelled,),
    }
    for state, some in states.items():
        for run in some:
            assert runs[str(run.pk)] == HIDDEN | {
                "id": str(run.pk),
                "pair": "pair",
                "state": state,
                "tier": "T0",
                "tallies": [],
            }
    assert "Secret" not in client.get("/api/v1/runs").content.decode()


def test_a_ranked_run_is_public(client: Client, run: Any, evaluator: FakeEvaluator) -> None:
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    actions.mark_ranked(run_ids=[run.pk])
    retract(run.pk)
    (one,) = told(client).values()
    assert (one["model"], one["evaluator"], one["retracted"]) == ("Model-1", "evaluator-1", True)
    assert one["queued_at"].endswith("Z") and one["ended_at"] >= one["queued_at"]
    assert set(one) == {"id", "pair", "state", "tier", "tallies", *HIDDEN}


def test_pages_in_a_stable_order(client: Client, make_run: Any, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    made = sorted(str(make_run(model=f"Model-{number}").pk) for number in range(5))
    seen: list[str] = []
    while more := list(told(client, "?limit=2" + (f"&after={seen[-1]}" if seen else ""))):
        seen += more
    assert seen == made
    assert list(told(client, "?pair=pair")) == made
    assert told(client, "?pair=none") == {}
    for query in ("?limit=0", "?after=x", "?limit=10001", "?pair=" + "x" * 81):
        assert client.get(f"/api/v1/runs{query}").status_code == 422


def test_a_closing_is_opened_with_the_close_and_never_of_a_small_cell(
    client: Client, run: Any, evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [truth("private", index) for index in range(PRIVATE_N)]
    outcomes = [Outcome.WRONG if one is Outcome.NOT_COUNTED else one for one in found]
    attempt = evaluator.begin(run)
    closing = evaluator.close(outcomes, run=str(run.pk), set="private")
    for report in (*attempt.story(), attempt.exposed(closing)):
        actions.record_report(envelope=report)
    assert told(client)[str(run.pk)]["tallies"] == []
    actions.mark_ranked(run_ids=[run.pk])
    for cell, opened in (
        (PRIVATE_N, [evaluator.tallies[entry_hash(closing)].to_dict()]),
        (PRIVATE_N + 1, []),
    ):
        monkeypatch.setattr(ItemSet, "cell", cell)
        assert told(client)[str(run.pk)]["tallies"] == opened


def test_a_tally_that_is_not_the_closings_is_refused(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    closing = evaluator.close([Outcome.RIGHT] * PRIVATE_N, run=str(run.pk))
    told = evaluator.tallies[entry_hash(closing)]
    evaluator.tallies[entry_hash(closing)] = msgspec.structs.replace(
        told, right=told.right - 1, wrong=1
    )
    with pytest.raises(EvaluatorError, match="bad_message"):
        actions.record_report(envelope=attempt.exposed(closing))
    assert not Entry.objects.filter(kind="closing").exists()
