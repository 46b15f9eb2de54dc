"""A listed endpoint is asked one stage more in each cohort: by its provider, and by closed cohorts."""

from typing import Any

import pytest
from django.utils import timezone

from leaderboard.benchmarks.models import SetPair
from leaderboard.ledger.actions import list_endpoint
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard import sealed
from tests.leaderboard.conftest import FakeEvaluator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bell")]
STAGES = ((6, 7), (0, 1, 2), (3, 4, 5))
FIRST, SECOND, THIRD = [6, 7], [0, 1, 2, 6, 7], list(range(8))
HOST, OTHER = "models.example", "others.example"


@pytest.fixture
def pair(evaluator: FakeEvaluator, user: Any) -> SetPair:
    evaluator.register()
    for host in (HOST, OTHER):
        for model in ("m-1", "m-2"):
            list_endpoint(url=f"https://{host}/v1", model=model, api="chat")
    return sealed.register(sealed.seal(stages=STAGES))


@pytest.fixture
def submit(pair: SetPair, user: Any) -> Any:
    def submit(model: str = "m-1", host: str = HOST, **changes: Any) -> Run:
        endpoint = {"url": f"https://{host}/v1", "served_model": model, "api": "chat"}
        about = {"pair": pair.slug, "kind": "endpoint", "open_weights": False} | endpoint | changes
        ask = Ask(model=f"{model}-{host.partition('.')[0]}-{about['kind']}", **about)
        return actions.submit(user=user, key=f"key-{Run.objects.count()}", ask=ask).runs.get()

    return submit


def blocks(run: Run) -> list[int]:
    return run.outcomes.get(item_set__sealed=True).blocks


def end(run: Run, evaluator: FakeEvaluator, state: RunState = RunState.RANKED) -> None:
    """The run was shown all that it is asked, and ended."""
    row = run.outcomes.select_related("item_set").get(item_set__sealed=True)
    endpoint = {"recipient": HOST if HOST in run.submission.url else OTHER, "tier": run.tier}
    shown = row.open()
    sealed.show(run.submission.pair, evaluator, shown, run=str(run.pk), **endpoint)
    failed = {"code": "lost", "fault": "ours"} if state == RunState.FAILED else {}
    Run.objects.filter(pk=run.pk).update(state=state, ended_at=timezone.now(), **failed)


def test_each_cohort_adds_a_stage(submit: Any, evaluator: FakeEvaluator) -> None:
    asked = []
    for _ in range(4):
        run = submit()
        asked.append(blocks(run))
        end(run, evaluator)
    assert asked == [FIRST, SECOND, THIRD, THIRD]


def test_runs_of_one_cohort_are_asked_the_same(submit: Any, evaluator: FakeEvaluator) -> None:
    for state in (RunState.GRADED, RunState.FAILED):
        run = submit()
        end(run, evaluator, state)
        assert blocks(run) == FIRST
    assert blocks(submit()) == FIRST


def test_a_provider_has_one_history_for_all_its_models(
    submit: Any, evaluator: FakeEvaluator
) -> None:
    end(submit("m-1"), evaluator)
    assert blocks(submit("m-2")) == SECOND
    assert blocks(submit("m-2", OTHER)) == FIRST


def test_weights_are_asked_all_exposed_and_local_blocks(submit: Any) -> None:
    weights = submit(kind="checkpoint", checkpoint="honest", url="", served_model="", api="")
    assert blocks(weights) == list(range(9))


def test_a_self_declared_run_uses_no_stage_up(submit: Any, evaluator: FakeEvaluator) -> None:
    run = submit("m-3")
    assert (run.tier, blocks(run)) == ("T2", [6])
    end(run, evaluator)
    assert blocks(submit("m-1")) == FIRST


def test_a_stage_that_is_retired_is_passed_over(
    submit: Any, pair: SetPair, evaluator: FakeEvaluator
) -> None:
    twins = sealed.seal(stages=STAGES)
    first = twins.notice(None, kind="retire_block", reason="spent", block=6)
    second = twins.notice(first, kind="retire_block", reason="spent", block=7)
    sealed.benchmarks.post_notices(data=[first.to_dict(), second.to_dict()])
    assert blocks(submit()) == [0, 1, 2]


def test_a_set_without_stages_is_asked_at_once(evaluator: FakeEvaluator, user: Any) -> None:
    evaluator.register()
    list_endpoint(url=f"https://{HOST}/v1", model="m-1", api="chat")
    pair = sealed.register(sealed.seal("plain"), slug="plain")
    endpoint = {"url": f"https://{HOST}/v1", "served_model": "m-1", "api": "chat"}
    ask = Ask(pair=pair.slug, model="m", kind="endpoint", open_weights=False, **endpoint)
    assert blocks(actions.submit(user=user, key="k", ask=ask).runs.get()) == THIRD
