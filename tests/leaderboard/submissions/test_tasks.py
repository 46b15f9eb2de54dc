"""The recorder's tasks: whatever comes, the worker lives, and logs hold codes only."""

import logging
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from evaluator.contract import RECORD_TASK
from leaderboard.celery import ASK_LOGS_TASK, DRAIN_TASK, PRUNE_TASK, REAP_TASK, WATCH_TASK, app
from leaderboard.errors import Refusal, SiteError, SiteUnavailable
from leaderboard.submissions import actions, tasks
from leaderboard.submissions.models import Receipt
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator

TEXT = "CNRY seventeen violet kayaks"


@pytest.fixture
def log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("leaderboard"), "propagate", True)
    return caplog


def send(*args: Any, **kwargs: Any) -> Any:
    """Run the recorder's task as a worker does, with whatever arguments came."""
    return app.tasks[RECORD_TASK].apply(args=args, kwargs=kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((TEXT,), {}),
        (({"report": TEXT, "signature": TEXT},), {}),
        (({}, {}), {}),
        (({},), {"extra": TEXT}),
        ((), {"envelope": TEXT}),
        (([[[[TEXT]]]],), {}),
        (("x" * 10_000_000,), {}),
    ],
)
def test_hostile_messages_leave_the_recorder_alive(
    db: None, log: Any, args: Any, kwargs: Any
) -> None:
    result = send(*args, **kwargs)
    assert result.successful(), result.result
    assert "refused a report" in log.text
    assert TEXT not in log.text


def test_a_good_report_after_hostile_ones_is_recorded(
    run: Any, evaluator: FakeEvaluator, log: Any
) -> None:
    attempt = evaluator.begin(run)
    send({"report": TEXT})
    send(attempt.started(grant="d" * 64))
    send(attempt.started())
    run.refresh_from_db()
    assert run.state == RunState.LEASED
    assert "another grant" in log.text


def test_a_report_waits_for_the_database(
    run: Any, evaluator: FakeEvaluator, monkeypatch: Any, log: Any
) -> None:
    real, failures, pauses = actions.record_report, [3], []

    def record_report(**fields: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise OperationalError(TEXT)
        return real(**fields)

    monkeypatch.setattr(actions, "record_report", record_report)
    report = evaluator.begin(run).started()
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    tasks.patiently(lambda: actions.record_report(envelope=report), sleep=pauses.append)
    assert Receipt.objects.count() == 1
    assert len(pauses) == 3
    assert all(0 < pause <= tasks.LONGEST_WAIT_SECONDS for pause in pauses)
    assert TEXT not in log.text


def test_patience_ends_with_the_report_back_at_the_broker(monkeypatch: Any, log: Any) -> None:
    def away(**fields: Any) -> None:
        raise OperationalError(TEXT)

    monkeypatch.setattr(actions, "record_report", away)
    monkeypatch.setattr(tasks, "PATIENCE", 2)
    monkeypatch.setattr(tasks.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(tasks, "close_old_connections", lambda: None)
    with pytest.raises(SiteUnavailable) as failure:
        tasks.patiently(lambda: actions.record_report(envelope={}), sleep=lambda seconds: None)
    assert failure.value.code is Refusal.DATABASE_AWAY
    assert TEXT not in str(failure.value)


@pytest.mark.parametrize("name", [REAP_TASK, DRAIN_TASK])
def test_housekeeping_outlives_the_database(name: str, monkeypatch: Any, log: Any) -> None:
    def away() -> int:
        raise OperationalError(TEXT)

    for action in (
        "request_end_of_lapsed",
        "erase_old_keys",
        "end_embargoes",
        "end_probes",
        "request_prompts",
        "request_rankings",
        "follow_rules",
        "drain_outbox",
        "drain_rescorings",
        "request_notifications",
        "compare_weights",
        "follow_watches",
    ):
        monkeypatch.setattr(actions, action, away)
    assert app.tasks[name].apply().successful()
    assert "database_away" in log.text
    assert TEXT not in log.text


def test_no_database_error_leaves_a_task_as_it_is(monkeypatch: Any) -> None:
    @app.task(name="tests.break")  # type: ignore[untyped-decorator]
    def broken() -> None:
        raise IntegrityError(f"DETAIL: Failing row contains ({TEXT})")

    result = broken.apply()
    del app.tasks["tests.break"]
    assert isinstance(result.result, SiteError)
    assert TEXT not in f"{result.result!r} {result.traceback}"


def test_routes_are_those_that_the_recorder_listens_to() -> None:
    queues = {name: route["queue"] for name, route in app.conf.task_routes.items()}
    assert queues == {
        "holdfast.record": "record",
        "holdfast.rebuild": "rankings",
        "holdfast.end_lapsed": "record",
        "holdfast.reap": "housekeeping",
        "holdfast.drain": "housekeeping",
        "holdfast.dispatch": "housekeeping",
        "holdfast.ask_logs": "housekeeping",
        "holdfast.watch": "housekeeping",
        "holdfast.prune": "housekeeping",
        "holdfast.notify": "notifications",
    }
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled == {REAP_TASK, DRAIN_TASK, ASK_LOGS_TASK, WATCH_TASK, PRUNE_TASK}
    assert set(queues) <= set(app.tasks) | {"holdfast.rebuild", "holdfast.ask_logs"}
    assert (app.conf.result_backend, app.conf.accept_content) == (None, ["json"])
