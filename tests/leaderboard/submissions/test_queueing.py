"""Runs that are lost, late, sent again, withdrawn; and a broker that is away."""

import threading
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.db import connection
from kombu.exceptions import OperationalError as BrokerAway

from demo.programs import free_port
from demo.services import has_redis, start_redis, stop
from evaluator.contract import EVALUATE_TASK, JobSpec
from evaluator.errors import EXPLANATIONS, Code
from leaderboard.board.tasks import rebuild
from leaderboard.celery import app
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.models import Grant
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Outbox, Run, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.planting import planted


def pass_seconds(run: Any, **fields: float) -> None:
    """Move moments of a run, by the database's clock."""
    Run.objects.filter(pk=run.pk).update(
        **{name: seconds_from_now(value) for name, value in fields.items()}
    )


def jobs(bell: list[Any]) -> list[JobSpec]:
    return [JobSpec.from_dict(args[0]) for name, args, _ in bell if name == EVALUATE_TASK]


def make_due(run: Any) -> None:
    Outbox.objects.filter(run=run).update(due=seconds_from_now(-1))


# --- the bell


def test_the_job_is_sent_to_the_pool_when_the_transaction_is_over(
    make_run: Any, bell: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        run = make_run()
    assert bell == []
    for callback in callbacks:
        callback()
    assert [(name, options["queue"]) for name, _, options in bell] == [
        (EVALUATE_TASK, "evaluate.default")
    ]
    spec = jobs(bell)[0]
    assert (spec.run, spec.token, spec.protocol, spec.lease_seconds) == (
        str(run.pk),
        1,
        "demo-0shot",
        5,
    )
    assert [(asked.name, asked.sealed, asked.n, asked.done) for asked in spec.sets] == [
        ("public", False, 7, ""),
        ("private", True, 9, ""),
    ]
    assert Grant.objects.get(run=run.pk, token=1).hash == spec.grant


def test_it_is_rung_again_with_the_same_job_until_somebody_begins(
    run: Any, bell: Any, evaluator: FakeEvaluator
) -> None:
    assert actions.drain_outbox() == 1
    assert actions.drain_outbox() == 0, "not before it is due"
    make_due(run)
    assert actions.drain_outbox() == 1
    first, second = jobs(bell)
    assert first == second
    assert Grant.objects.count() == 1
    record_report(envelope=evaluator.begin(run).started())
    make_due(run)
    assert actions.drain_outbox() == 0


def test_a_broker_that_is_away_loses_nothing(
    run: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise BrokerAway("redis://secret@host refused")

    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", away)
    assert actions.drain_outbox() == 0
    assert Outbox.objects.get(run=run).sent_at is None
    assert "secret" not in caplog.text
    monkeypatch.setattr(app, "send_task", lambda *args, **options: sent.append(args))
    assert actions.drain_outbox() == 1
    assert len(sent) == 1


def test_b07_a_submission_is_taken_while_the_broker_is_away(
    make_run: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(
        app, "send_task", lambda *args, **options: (_ for _ in ()).throw(ConnectionRefusedError())
    )
    with django_capture_on_commit_callbacks(execute=True):
        run = make_run()
    assert run.state == RunState.QUEUED


def test_a_submission_is_taken_while_redis_is_away(
    make_run: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    """Redis has exceptions of its own, which are no operating system's errors."""
    refused = Celery(broker=f"redis://127.0.0.1:{free_port()}/0")
    monkeypatch.setattr(dispatch, "app", refused)
    with django_capture_on_commit_callbacks(execute=True):
        run = make_run()
    assert run.state == RunState.QUEUED
    assert actions.drain_outbox() == 0
    assert Outbox.objects.get(run=run).sent_at is None


def out_and_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Stop Redis and start it again. Returns the depth of a queue afterwards."""
    process, url = start_redis(folder)
    try:
        with Celery(broker=url) as app_of_redis:
            monkeypatch.setattr(dispatch, "app", app_of_redis)
            assert dispatch.depth("housekeeping") == 0
            stop([process])
            for _ in range(2):
                with pytest.raises(BrokerAway):
                    dispatch.depth("housekeeping")
            process, _ = start_redis(folder)
            return dispatch.depth("housekeeping")
    finally:
        stop([process])


@pytest.mark.skipif(not has_redis(), reason="redis-server is not installed")
def test_redis_that_was_away_is_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert out_and_back(tmp_path, monkeypatch) == 0


@pytest.mark.skipif(not has_redis(), reason="redis-server is not installed")
def test_a_connection_that_stays_closed_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail: in this build a failed connection is not opened again."""
    again = "connection.ensure_connection(max_retries=1, interval_start=0)"
    with (
        planted(("leaderboard/submissions/dispatch.py", again, "pass")),
        pytest.raises(AttributeError),
    ):
        out_and_back(tmp_path, monkeypatch)


def test_many_requests_ask_the_housekeeping_for_few_decisions() -> None:
    for _ in range(20):
        dispatch.request_dispatch()
    assert dispatch.depth("housekeeping") == dispatch.MOST_WAITING
    with app.pool.acquire(block=True) as connection, connection.channel() as channel:
        message = channel.basic_get("housekeeping")
        assert message.headers["task"] == "holdfast.dispatch"
        assert message.headers["expires"], "beat has sent the next one by then"


def test_a_message_for_each_request_is_seen() -> None:
    """The test above can fail: in this build no request looks at how many wait."""
    guard = "if depth(HOUSEKEEPING_QUEUE) < MOST_WAITING:"
    with (
        planted(("leaderboard/submissions/dispatch.py", guard, "if True:")),
        pytest.raises(AssertionError),
    ):
        test_many_requests_ask_the_housekeeping_for_few_decisions()


# --- the reaper


def test_a_lost_attempt_is_replaced_by_one_for_what_is_left(
    run: Any, bell: Any, evaluator: FakeEvaluator
) -> None:
    lost = evaluator.begin(run)
    for report in [lost.started(), *lost.graded(lost.open_items()[:9])]:
        record_report(envelope=report)
    assert actions.reap() == 0, "the lease is not over"
    pass_seconds(run, lease_expires=-0.001)
    assert actions.reap() == 1
    assert actions.reap() == 0
    run.refresh_from_db()
    assert (run.state, run.token, run.attempts, run.worker, run.done) == (
        RunState.QUEUED,
        2,
        2,
        "",
        9,
    )
    assert run.evaluator is None
    actions.drain_outbox()
    spec = jobs(bell)[-1]
    assert spec.token == 2
    assert evaluator.begin(run).open_items() == lost.open_items()[9:]
    grants = list(Grant.objects.order_by("token"))
    assert [grant.token for grant in grants] == [1, 2]
    assert grants[1].hash == spec.grant != grants[0].hash


def test_attempts_are_bounded(run: Any, evaluator: FakeEvaluator, settings: Any) -> None:
    settings.MAX_ATTEMPTS = 3
    for attempt in range(1, 4):
        run.refresh_from_db()
        assert (run.state, run.attempts) == (RunState.QUEUED, attempt)
        record_report(envelope=evaluator.begin(run).started())
        pass_seconds(run, lease_expires=-1)
        actions.reap()
    run.refresh_from_db()
    assert (run.state, run.code, run.fault, run.attempts) == (RunState.FAILED, Code.LOST, "ours", 3)


def test_a_failing_attempt_is_followed_by_a_pause(run: Any, evaluator: FakeEvaluator) -> None:
    record_report(envelope=evaluator.begin(run).failed(Code.INTERNAL))
    assert actions.drain_outbox() == 0
    make_due(run)
    assert actions.drain_outbox() == 1


@pytest.mark.parametrize("begun", [False, True])
def test_every_state_that_waits_has_a_deadline(
    run: Any, evaluator: FakeEvaluator, begun: bool
) -> None:
    if begun:
        record_report(envelope=evaluator.begin(run).started())
    pass_seconds(run, deadline=-1)
    assert actions.reap() == 1
    run.refresh_from_db()
    code = Code.DEADLINE if begun else Code.NOT_STARTED
    assert (run.state, run.code, run.fault) == (RunState.FAILED, code, "ours")


@pytest.mark.parametrize("seconds", [0, 3600])
def test_a_cohort_is_closed_by_the_clock_only_where_that_is_wanted(
    run: Any, evaluator: FakeEvaluator, settings: Any, seconds: int
) -> None:
    settings.COHORT_SECONDS = seconds
    for report in evaluator.begin(run).story():
        record_report(envelope=report)
    pair = run.submission.pair
    for ended, due in ((-60, False), (-3700, bool(seconds))):
        pass_seconds(run, ended_at=ended)
        assert (actions.is_due(pair=pair), actions.request_rankings()) == (due, due)
        rebuild(pair.slug)
        run.refresh_from_db()
        assert run.state == ("ranked" if due else "graded")


def test_a_close_that_did_not_come_is_asked_for_again(
    run: Any, evaluator: FakeEvaluator, bell: Any, settings: Any
) -> None:
    settings.COHORT_SECONDS = 0.001
    for report in evaluator.begin(run).story():
        record_report(envelope=report)
    assert actions.request_rankings() == 0, "it has just been asked for"
    pass_seconds(run, ended_at=-60)
    assert actions.request_rankings() == 1
    assert bell[-1][:2] == ("holdfast.rebuild", ["pair"])
    assert actions.mark_ranked(run_ids=[run.pk]) == 1
    assert actions.mark_ranked(run_ids=[run.pk]) == 0
    assert actions.request_rankings() == 0


@pytest.mark.django_db(transaction=True)
def test_two_reapers_at_once_take_each_run_once(make_run: Any, evaluator: FakeEvaluator) -> None:
    evaluator.register()
    runs = [make_run() for _ in range(8)]
    for run in runs:
        record_report(envelope=evaluator.begin(run).started())
        pass_seconds(run, lease_expires=-1)
    taken = together(2, actions.reap)
    assert sum(taken) == 8
    assert [Run.objects.get(pk=run.pk).token for run in runs] == [2] * 8


@pytest.mark.django_db(transaction=True)
def test_a_report_and_the_reaper_at_once_leave_one_winner(
    make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    for _ in range(5):
        run = make_run()
        attempt = evaluator.begin(run)
        record_report(envelope=attempt.started())
        pass_seconds(run, lease_expires=-1)
        report = attempt.progress(3)
        found = together(2, actions.reap, lambda report=report: record_report(envelope=report))
        run.refresh_from_db()
        if run.token == 1:
            assert (run.state, found) == (RunState.RUNNING, [0, "applied"])
        else:
            assert (run.state, run.stale_reports, found) == (RunState.QUEUED, 1, [1, "stale"])


@pytest.mark.django_db(transaction=True)
def test_one_report_that_comes_eight_times_at_once_is_applied_once(
    make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    attempt = evaluator.begin(make_run())
    for report in attempt.story():
        found = together(8, lambda report=report: str(record_report(envelope=report)))
        assert sorted(found) == ["applied"] + ["duplicate"] * 7
    assert Run.objects.get().state == RunState.GRADED


def together(number: int, *works: Any) -> list[Any]:
    """Run work in threads that start at one moment, each with a connection of its own; what each returned."""
    barrier = threading.Barrier(number)
    todo = list(works) if len(works) == number else [works[0]] * number
    found: list[Any] = [None] * number

    def one(place: int) -> None:
        try:
            barrier.wait()
            found[place] = todo[place]()
        except Exception as failure:  # noqa: BLE001 - the test compares it
            found[place] = failure
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(place,)) for place in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# --- by hand


def test_a_failed_run_can_be_queued_again(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    for report in [*attempt.graded(attempt.open_items()[:5]), attempt.failed(Code.INCOMPLETE)]:
        record_report(envelope=report)
    again = actions.requeue(run=run.pk)
    assert (again.state, again.token, again.attempts, again.code, again.done) == (
        RunState.QUEUED,
        2,
        1,
        "",
        5,
    )
    with pytest.raises(SiteError) as refused:
        actions.requeue(run=run.pk)
    assert refused.value.code is Refusal.NOT_NOW


def test_a_cancelled_run_stays_cancelled(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = evaluator.begin(run)
    record_report(envelope=attempt.started())
    assert actions.cancel(run=run.pk).state == RunState.CANCELLED
    assert {
        record_report(envelope=report) for report in [*attempt.graded(), attempt.finished()]
    } == {"late"}
    run.refresh_from_db()
    assert (run.state, run.outcomes.first().counted) == (RunState.CANCELLED, 0)
    for action in (actions.cancel, actions.requeue):
        with pytest.raises(SiteError):
            action(run=run.pk)
    assert actions.reap() == actions.drain_outbox() == 0


@pytest.mark.parametrize(
    "code", [Code.HOST_DIED, Code.HOST_HUNG, Code.HOST_RESOURCES, Code.ENGINE_MISSING]
)
def test_a_checkpoint_that_ends_its_server_each_time_ends_bounded(
    run: Any, evaluator: FakeEvaluator, settings: Any, code: Code
) -> None:
    settings.MAX_ATTEMPTS = 3
    for attempt in (1, 2, 3):
        assert (run.state, run.attempts) == (RunState.QUEUED, attempt)
        begun = evaluator.begin(run)
        record_report(envelope=begun.started())
        record_report(envelope=begun.failed(code))
        run.refresh_from_db()
    assert (run.state, run.code, run.fault) == (RunState.FAILED, code, "ours")


def test_the_sentence_on_a_dead_server_says_that_either_may_be_at_fault() -> None:
    for code in (Code.HOST_DIED, Code.HOST_HUNG):
        assert "checkpoint may be what" in EXPLANATIONS[code].advice
