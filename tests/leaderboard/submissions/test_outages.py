"""An outage of broker, recorder or database costs no lease: what had been sent is recorded first."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from leaderboard.celery import BEAT_SECONDS, END_LAPSED_TASK, app
from leaderboard.submissions import actions, tasks
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import RECORDED, Heartbeat, Run, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator

Bell = list[tuple[str, list[Any], dict[str, Any]]]


def beat(bell: Bell) -> list[Any]:
    """Run the housekeeping's task. Returns the arguments of the message that it sent."""
    bell.clear()
    assert tasks.reap.apply().successful()
    [arguments] = [args for name, args, _ in bell if name == END_LAPSED_TASK]
    return arguments


def take(arguments: list[Any]) -> None:
    """Take that message, as a recorder does that has taken all before it."""
    assert tasks.end_lapsed.apply(args=arguments).successful()


def last_recorded(seconds: float) -> None:
    """Let the last message have been taken so many seconds ago."""
    fields = {"at": seconds_from_now(-seconds)}
    Heartbeat.objects.update_or_create(name=RECORDED, defaults=fields, create_defaults=fields)


def let_lease_lapse(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_expires=seconds_from_now(-0.001))


@pytest.fixture
def attempt(run: Any, evaluator: FakeEvaluator) -> Iterator[Any]:
    begun = evaluator.begin(run)
    record_report(envelope=begun.started())
    last_recorded(BEAT_SECONDS)
    yield begun


def test_reports_that_wait_are_recorded_before_a_lease_is_judged(
    run: Any, attempt: Any, bell: Bell
) -> None:
    waiting = [*attempt.graded(attempt.open_items()), attempt.finished()]
    let_lease_lapse(run)
    message = beat(bell)
    for report in waiting:
        record_report(envelope=report)
    take(message)
    run.refresh_from_db()
    assert (run.state, run.token, run.stale_reports) == (RunState.GRADED, 1, 0)


def test_a_recorder_that_lags_takes_no_live_run_back(run: Any, attempt: Any, bell: Bell) -> None:
    """The lease was not over when the message was sent, but is when it is taken."""
    message = beat(bell)
    let_lease_lapse(run)
    take(message)
    run.refresh_from_db()
    assert (run.state, run.token) == (RunState.LEASED, 1)


@pytest.mark.parametrize("before", [None, 60 * 60.0])
def test_reports_on_an_evaluator_s_disk_are_waited_for_after_an_outage(
    run: Any, attempt: Any, bell: Bell, before: float | None
) -> None:
    """Where the broker was away they come behind the housekeeping's message."""
    Heartbeat.objects.filter(name=RECORDED).delete() if before is None else last_recorded(before)
    let_lease_lapse(run)
    take(beat(bell))
    for report in [*attempt.graded(attempt.open_items()), attempt.finished()]:
        record_report(envelope=report)
    run.refresh_from_db()
    assert (run.state, run.token, run.stale_reports) == (RunState.GRADED, 1, 0)


def test_an_evaluator_that_died_is_replaced_one_lease_after_the_outage(
    run: Any, attempt: Any, bell: Bell
) -> None:
    last_recorded(60 * 60)
    let_lease_lapse(run)
    take(beat(bell))
    let_lease_lapse(run)
    take(beat(bell))
    run.refresh_from_db()
    assert (run.state, run.token) == (RunState.QUEUED, 2)


def test_a_deadline_is_not_extended(run: Any, attempt: Any, bell: Bell) -> None:
    last_recorded(60 * 60)
    Run.objects.filter(pk=run.pk).update(deadline=seconds_from_now(-1))
    take(beat(bell))
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.FAILED, "deadline")


def test_a_moment_ahead_is_now_and_one_that_was_passed_is_nothing(run: Any, attempt: Any) -> None:
    ahead = timezone.now() + timedelta(days=1000)
    assert actions.end_lapsed(moment=ahead) == 0
    assert Heartbeat.objects.get(name=RECORDED).at <= timezone.now()
    let_lease_lapse(run)
    assert actions.end_lapsed(moment=ahead - timedelta(days=2000)) == 0
    run.refresh_from_db()
    assert (run.state, run.token) == (RunState.LEASED, 1)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("soon",), {}),
        ((3,), {}),
        (([],), {}),
        (("2026-01-01", "2026-01-01"), {}),
        (("0001-01-01T00:00:00+23:59",), {}),
        (("9999-12-31T23:59:59-23:59",), {}),
        (("2026-01-01",), {"moment": 1}),
    ],
)
def test_hostile_moments_leave_the_recorder_alive(
    db: None, args: Any, kwargs: Any, caplog: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(logging.getLogger("leaderboard"), "propagate", True)
    assert tasks.end_lapsed.apply(args=args, kwargs=kwargs).successful()
    assert "refused a moment" in caplog.text


def test_housekeeping_survives_a_broker_that_is_away(db: None, monkeypatch: Any) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(app, "send_task", away)
    assert tasks.reap.apply().successful()
