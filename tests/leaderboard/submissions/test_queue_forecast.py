"""Place in the queue and expected start: the order in which runs are really dispatched."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from evaluator.contract import EVALUATE_TASK
from evaluator.errors import Code
from leaderboard.accounts.actions import issue_token
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.actions import queue_forecast
from leaderboard.submissions.actions.expected import prospect
from leaderboard.submissions.models import Outbox, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.submissions.test_fair_order import make_other
from tests.leaderboard.submissions.test_leases import announce

__all__ = ["make_other"]
RUN_SECONDS = 1000.0


def complete(run: Run, evaluator: FakeEvaluator) -> None:
    """Have a run begun and graded, as if it had taken its time."""
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    ended = timezone.now()
    started = ended - timedelta(seconds=RUN_SECONDS)
    Run.objects.filter(pk=run.pk).update(started_at=started, ended_at=ended)
    cache.clear()


def shown(runs: list[Run], client: Client) -> list[int]:
    """Return the places that the API shows, in the order of ``runs``."""
    found = []
    for run in runs:
        client.force_login(run.submission.submitted_by)
        found.append(client.get(f"/api/v1/runs/{run.pk}").json()["waiting"]["position"])
    return found


def in_order_of_dispatch(bell: list[Any], evaluator: FakeEvaluator) -> list[str]:
    """Let the evaluator take one run after the other, as they are sent; return them."""
    begun: list[str] = []
    while Run.objects.filter(state=RunState.QUEUED).exists():
        actions.drain_outbox()
        sent = [args[0]["run"] for name, args, _ in bell if name == EVALUATE_TASK]
        run = next(one for one in sent if one not in begun)
        begun.append(run)
        complete(Run.objects.get(pk=run), evaluator)
    return begun


@pytest.mark.slow
def test_the_shown_place_is_the_order_in_which_runs_start(
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    bell: list[Any],
    client: Client,
) -> None:
    """One organisation has used the evaluator lately and queues first; the other has not."""
    evaluator.register()
    announce(evaluator)
    for _ in range(2):
        complete(make_run(), evaluator)
    runs = [make_run(), make_run(), make_run(), make_other(), make_other(), make_other()]
    bell.clear()
    places = shown(runs, client)
    assert places[3] == 1, "the other organisation used nothing"
    assert places != [1, 2, 3, 4, 5, 6], "not first come, first served"
    forecast = actions.foresee("default")
    begins = [forecast.turn(run).start for run in runs]
    in_turn = [begins[places.index(place)] for place in range(1, 7)]
    for number, begin in enumerate(in_turn):
        wait = (begin - timezone.now()).total_seconds()
        assert wait == pytest.approx(number * RUN_SECONDS, abs=30)
    order = in_order_of_dispatch(bell, evaluator)
    assert [order.index(str(run.pk)) + 1 for run in runs] == places


def test_a_run_that_was_sent_comes_before_those_that_were_not(
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    client: Client,
) -> None:
    evaluator.register()
    announce(evaluator)
    runs = [make_run() for _ in range(3)]
    actions.drain_outbox()
    late = make_other()
    assert shown([*runs, late], client) == [1, 2, 4, 3]


def test_all_surfaces_show_the_same_turn(
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    client: Client,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evaluator.register()
    announce(evaluator)
    complete(make_run(), evaluator)
    last, first = make_run(), make_other()
    client.force_login(last.submission.submitted_by)
    start = actions.foresee("default").turn(last).start
    assert start is not None
    page = client.get(f"/runs/{last.pk}/").content.decode()
    assert "number 2 in the queue" in page
    assert f"Expected to begin {start.day} {start:%b, %H:%M}" in page
    assert "number 2 in the queue, about" in client.get("/mine/").content.decode()
    token = issue_token(user=last.submission.submitted_by, name="t")
    own = client.get("/api/v1/mine", headers={"authorization": f"Bearer {token}"}).json()
    assert "number 2 in the queue, about" in own[0]["next"]["sentence"]
    call_command("runs", str(first.pk))
    assert "number 1 in the queue" in capsys.readouterr().out


def test_a_new_run_is_told_its_own_place(
    *,
    make_run: Callable[..., Run],
    make_other: Callable[[], Run],
    evaluator: FakeEvaluator,
    user: Any,
    ask: Any,
) -> None:
    """Of an organisation without history it is number one, of the other the last."""
    evaluator.register()
    announce(evaluator)
    complete(make_run(), evaluator)
    waiting = make_other()
    pair = waiting.submission.pair
    needs = dispatch.needs_of_new(pair, pair.protocol, None)
    places = [
        prospect(pair=pair, organisation=one, kind="hub", items=16, needs=needs).position
        for one in (user.organisation().pk, 0)
    ]
    assert places == [2, 2]
    Run.objects.filter(pk=waiting.pk).update(state=RunState.CANCELLED, ended_at=timezone.now())
    make_run()
    found = prospect(pair=pair, organisation=0, kind="hub", items=16, needs=needs)
    assert found.position == 1 and found.start is not None


def test_a_long_queue_costs_no_more_queries_and_is_foreseen_up_to_a_bound(
    make_run: Callable[..., Run], evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_forecast, "FORESEEN", 50)
    evaluator.register()
    announce(evaluator)
    run = make_run()
    actions.foresee("default")  # the pace of the pool is cached
    with CaptureQueriesContext(connection) as few:
        actions.foresee("default")
    names = ("organisation", "pool", "state", "queued_at", "deadline", "total")
    fields = {name: getattr(run, name) for name in names}
    runs = Run.objects.bulk_create([Run(submission=run.submission, **fields) for _ in range(80)])
    outbox = Outbox.objects.get(run=run)
    Outbox.objects.bulk_create(
        [Outbox(run=one, token=1, payload=outbox.payload, due=outbox.due) for one in runs]
    )
    with CaptureQueriesContext(connection) as many:
        forecast = actions.foresee("default")
    assert len(many) == len(few) <= 11
    assert forecast.turn(runs[48]).position == 50
    assert forecast.turn(runs[49]).position == forecast.turn(runs[79]).position == 51


def test_no_practice_waits_behind_a_run_that_is_held_up(
    make_run: Callable[..., Run], pair: Any, evaluator: FakeEvaluator, settings: Any
) -> None:
    settings.PRACTICE_UNFINISHED = 10
    evaluator.register()
    announce(evaluator)
    practice_pair(pair)
    stuck, free = (make_run(pair="warm-up", model=name) for name in ("Stuck-1", "Free-1"))
    assert [actions.foresee("default").turn(run).position for run in (stuck, free)] == [1, 2]
    Run.objects.filter(pk=stuck.pk).update(waiting=Code.ENGINE_OOM)
    assert [actions.foresee("default").turn(run).position for run in (stuck, free)] == [2, 1]
