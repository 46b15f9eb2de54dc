"""Evaluators with an engine that fails its self-test: what they are sent, and who sees it."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from evaluator.artefacts.fleet import Worker, can_load, check_workers
from evaluator.artefacts.placement import GIB
from evaluator.contract import HostFacts
from evaluator.contract.announcements import EngineFailure, EngineVersion, HostState
from evaluator.errors import Code
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run, Submission
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.submissions.test_fair_order import keys, on_hub, sent
from tests.leaderboard.submissions.test_leases import announce, second

WRONG = EngineFailure(name="transformers", code=Code.ENGINE_WRONG)
FAILING = HostFacts(memory=64 * GIB, failing=(WRONG,))
GOOD = HostFacts(memory=64 * GIB, engines=("transformers",))
HALF = HostFacts(memory=64 * GIB, engines=("vllm",), failing=(WRONG,))


@pytest.fixture
def weighty(monkeypatch: pytest.MonkeyPatch) -> None:
    """All submissions are models on the hub."""
    monkeypatch.setattr(Submission, "hub_facts", property(lambda submission: on_hub(1)))


def test_it_is_sent_no_weights_until_the_engine_is_mended(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, bell: list[Any], weighty: None
) -> None:
    evaluator.register()
    announce(evaluator, host=FAILING)
    run = make_run()
    assert actions.drain_outbox() == 0
    run.refresh_from_db()
    assert (run.state, run.waiting) == (RunState.QUEUED, Code.ENGINE_WRONG)
    assert "does not pass the self-test" in str(actions.queue_place(run))
    codes = {result.code for result in actions.status().check_results}
    assert {"worker_missing", "engine_failing"} <= codes
    announce(evaluator, host=GOOD)
    actions.drain_outbox()
    assert sent(bell) == keys(run), "at once, when it announces that the engine passes"


def test_others_get_its_runs(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, bell: list[Any], weighty: None
) -> None:
    evaluator.register()
    announce(evaluator, host=FAILING)
    announce(second(), host=GOOD)
    run = make_run()
    actions.drain_outbox()
    assert sent(bell) == keys(run)
    assert [about["queue"] for _, _, about in bell] == ["journal.evaluator-2"]


def test_maintainers_see_which_engine_fails_and_visitors_how_many(
    client: Client, db: None, evaluator: FakeEvaluator
) -> None:
    row = evaluator.register()
    state = HostState(
        memory_free=1,
        disk_free=1,
        store_free=1,
        engines=(EngineVersion(name="transformers", version="5.19.0"),),
    )
    announce(evaluator, host=HALF, state=state)
    [finding] = [one for one in actions.status().check_results if one.code == "engine_failing"]
    assert "evaluator-1: transformers fails the self-test (engine_wrong)" in finding.sentence
    assert not finding.problem, "another engine serves"
    announce(evaluator, host=FAILING, state=state)
    [finding] = [one for one in actions.status().check_results if one.code == "engine_failing"]
    assert finding.problem
    out = StringIO()
    call_command("evaluators", stdout=out)
    assert "transformers fails the self-test: engine_wrong" in out.getvalue()
    page = client.get("/status/").content.decode()
    assert "1 with an engine that fails its self-test" in page
    assert "evaluator-1" not in page
    [pool] = client.get("/api/v1/status").json()["pools"]
    assert pool["engine_failing"] == 1
    client.force_login(make_maintainer("keeper"))
    page = client.get(f"/manage/ledger/evaluator/{row.pk}/change/").content.decode()
    assert "transformers 5.19.0, transformers fails the self-test: engine_wrong" in page


def test_a_verifier_needs_our_own_host() -> None:
    assert can_load("", HALF)
    assert not can_load("", HALF, verifier=True)
    assert can_load("", HostFacts(memory=GIB, engines=("vllm",)), verifier=True)


def test_a_model_is_not_refused_for_an_engine_that_may_be_mended() -> None:
    check = check_workers(on_hub(1), [Worker(True, FAILING)])
    assert (check.level.value, check.code) == ("warning", "workers_failing")
    assert check_workers(on_hub(1), [Worker(True, FAILING), Worker(True, GOOD)]).code == ""
    assert check_workers(on_hub(700), [Worker(True, FAILING)]).code == "no_worker_holds_it"
