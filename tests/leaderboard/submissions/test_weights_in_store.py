"""Dispatch to the evaluators that announce a run's model as fetched."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from msgspec import structs

from evaluator.contract import EVALUATE_TASK, AdapterModel, HostState
from evaluator.contract.hub import HubFacts
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.actions import fair_order
from leaderboard.submissions.models import Run, Submission
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_fair_order import on_hub
from tests.leaderboard.submissions.test_leases import announce, second

MODEL = on_hub(1)


def another(letter: str) -> HubFacts:
    return structs.replace(MODEL, commit=letter * 40)


def holding(*models: HubFacts) -> HostState:
    names = tuple(one.model.id for one in models)
    return HostState(memory_free=1, disk_free=1, store_free=1, models=names)


def queues(bell: list[Any]) -> dict[str, str]:
    return {
        args[0]["run"]: options["queue"] for name, args, options in bell if name == EVALUATE_TASK
    }


@pytest.fixture
def facts_of(monkeypatch: pytest.MonkeyPatch) -> dict[Any, HubFacts]:
    """Models on the hub, by submission."""
    known: dict[Any, HubFacts] = {}
    monkeypatch.setattr(
        Submission, "hub_facts", property(lambda submission: known.get(submission.pk))
    )
    return known


def test_a_run_goes_to_the_evaluator_that_has_its_model(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, bell: list[Any], facts_of: Any
) -> None:
    """And no other run reaches that one first by the pool's queue."""
    evaluator.register()
    announce(evaluator)
    announce(second(), state=holding(MODEL))
    runs = [make_run() for _ in range(3)]
    for run, facts in zip(runs, (another("b"), MODEL, another("c")), strict=True):
        facts_of[run.submission_id] = facts
    bell.clear()
    actions.drain_outbox()
    found = queues(bell)
    assert found[str(runs[1].pk)] == "journal.evaluator-2"
    assert found[str(runs[0].pk)] == "journal.evaluator-1"
    assert "evaluate.default" not in found.values()


def test_without_the_model_anywhere_the_pool_decides(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, bell: list[Any], facts_of: Any
) -> None:
    evaluator.register()
    announce(evaluator, state=holding(another("b")))
    announce(second())
    run = make_run()
    facts_of[run.submission_id] = MODEL
    bell.clear()
    actions.drain_outbox()
    assert queues(bell) == {str(run.pk): "evaluate.default"}


def test_no_run_waits_for_a_busy_evaluator_that_has_its_model(
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    facts_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator.register()
    announce(evaluator, state=holding(MODEL))
    announce(second())
    busy, run = make_run(), make_run()
    actions.record_report(envelope=evaluator.begin(busy).started())
    facts_of[run.submission_id] = MODEL
    bell.clear()
    actions.drain_outbox()
    assert queues(bell) == {str(run.pk): "evaluate.default"}
    assert fair_order.SOON_SECONDS > 0


def test_of_the_next_runs_of_an_organisation_that_with_the_model_comes_first(
    make_run: Callable[..., Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    facts_of: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator.register()
    announce(evaluator, state=holding(MODEL))
    runs = [make_run() for _ in range(3)]
    for run, facts in zip(runs, (another("b"), another("c"), MODEL), strict=True):
        facts_of[run.submission_id] = facts
    turns = actions.foresee("default")
    assert [turns.turn(run).position for run in runs] == [2, 3, 1], "the forecast knows it"
    bell.clear()
    actions.drain_outbox()
    assert list(queues(bell)) == [str(runs[2].pk), str(runs[0].pk)]
    assert set(queues(bell).values()) == {"journal.evaluator-1"}


def test_an_adapter_is_where_its_base_is(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    submission = make_run().submission
    adapter = AdapterModel(adapter=another("b").model, base=MODEL.model)
    monkeypatch.setattr(dispatch, "_model", lambda submission: adapter)
    assert dispatch._artefact(submission) == MODEL.model.id


def test_the_command_counts_the_fetched_models(db: None, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    announce(evaluator, state=holding(MODEL, another("b")))
    out = StringIO()
    call_command("evaluators", stdout=out)
    assert "2 models fetched" in out.getvalue()
