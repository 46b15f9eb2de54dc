"""The site's answers to attempts, declined runs, and where a run is sent."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from kombu import Connection

from evaluator.contract import (
    EVALUATE_TASK,
    LEASE_TASK,
    NO_RUN,
    Announcement,
    Declined,
    HeldSet,
    HostFacts,
    LeaseAnswer,
    LeaseRefusal,
    OutOfService,
    Progress,
    Started,
)
from evaluator.errors import Code, EvaluatorError
from leaderboard.celery import app
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.actions import queue, record_report
from leaderboard.submissions.models import Outbox, Run, seconds_from_now
from leaderboard.submissions.states import Disposition, RunState
from tests.leaderboard.conftest import MANIFEST, FakeAttempt, FakeEvaluator

PUBLIC = HeldSet(name="public", sealed=False, digest="a" * 64)
PRIVATE = HeldSet(name="private", sealed=True, digest=MANIFEST.root)
BOTH = (PRIVATE, PUBLIC)


def begin(attempt: FakeAttempt, **changes: Any) -> dict[str, Any]:
    started = Started(grant=attempt.spec["grant"], protocol_digest="c" * 64, grader="numeric-1")
    return attempt.report(started, **{"slot": 3} | changes)


def progress(attempt: FakeAttempt) -> dict[str, Any]:
    return attempt.report(Progress(phase="asking", done=0, total=16), slot=3)


def answers(bell: list[Any]) -> list[LeaseAnswer]:
    return [LeaseAnswer.from_dict(args[0]) for name, args, _ in bell if name == LEASE_TASK]


@pytest.fixture
def said(bell: list[Any], django_capture_on_commit_callbacks: Any) -> Any:
    """Record a report; returns the last answer's refusal, ``silence`` where none was sent."""

    def record(report: dict[str, Any]) -> Any:
        bell.clear()
        # a refused report is answered too
        with django_capture_on_commit_callbacks(execute=True), contextlib.suppress(EvaluatorError):
            record_report(envelope=report)
        found = answers(bell)
        return found[-1].refusal if found else "silence"

    return record


def second(name: str = "evaluator-2") -> FakeEvaluator:
    made = FakeEvaluator(name=name)
    made.register()
    return made


# --- answers


def test_begin_and_progress_are_granted_to_the_process_that_asked(
    run: Any, evaluator: Any, said: Any, bell: Any
) -> None:
    attempt = evaluator.begin(run)
    assert said(begin(attempt)) is None
    [(name, _, options)] = bell
    assert (name, options["queue"]) == (LEASE_TASK, "lease.evaluator-1.3")
    [granted] = answers(bell)
    assert (granted.run, granted.token, granted.worker, granted.sequence) == (
        str(run.pk),
        1,
        attempt.worker,
        1,
    )
    assert said(progress(attempt)) is None
    assert said(begin(attempt)) is None, "a begin that is repeated by the same attempt"


def test_a_second_begin_is_refused(run: Any, evaluator: FakeEvaluator, said: Any) -> None:
    """By another evaluator, and by another process of the same one."""
    other = second().begin(run)
    again = evaluator.begin(run)
    assert said(begin(evaluator.begin(run))) is None
    assert said(begin(other)) is LeaseRefusal.REPLACED
    assert said(begin(again)) is LeaseRefusal.REPLACED
    assert said(progress(other)) is LeaseRefusal.REPLACED


def test_it_would_be_granted_without_the_fence(
    run: Any, evaluator: FakeEvaluator, said: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests here can fail: a build that grants whatever is asked answers a second begin with a grant."""
    monkeypatch.setattr("leaderboard.submissions.actions.recording._refusal", lambda *about: None)
    other = second().begin(run)
    assert said(begin(evaluator.begin(run))) is None
    assert said(begin(other)) is None


def test_a_begin_after_the_end_is_refused(run: Any, evaluator: FakeEvaluator, said: Any) -> None:
    late = evaluator.begin(run)
    attempt = evaluator.begin(run)
    for report in attempt.story():
        record_report(envelope=report)
    assert said(begin(late)) is LeaseRefusal.ENDED


def test_a_begin_of_an_old_token_is_refused(run: Any, evaluator: FakeEvaluator, said: Any) -> None:
    old = evaluator.begin(run)
    record_report(envelope=begin(old))
    Run.objects.filter(pk=run.pk).update(lease_expires=seconds_from_now(-1))
    actions.reap()
    assert said(progress(old)) is LeaseRefusal.REPLACED
    assert said(begin(evaluator.begin(run))) is None


def test_a_cancelled_run_is_refused_and_its_process_learns_it_at_once(
    run: Any,
    evaluator: FakeEvaluator,
    said: Any,
    bell: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    attempt = evaluator.begin(run)
    assert said(begin(attempt)) is None
    bell.clear()
    with django_capture_on_commit_callbacks(execute=True):
        actions.cancel(run=run.pk)
    [(_, _, options)] = bell
    [told] = answers(bell)
    assert (told.worker, told.sequence, told.refusal) == (attempt.worker, 0, LeaseRefusal.CANCELLED)
    assert options["queue"] == "lease.evaluator-1.3"
    assert said(progress(attempt)) is LeaseRefusal.CANCELLED


def test_a_run_that_was_cancelled_in_the_queue_is_refused(
    run: Any, evaluator: FakeEvaluator, said: Any
) -> None:
    attempt = evaluator.begin(run)
    actions.cancel(run=run.pk)
    assert said(begin(attempt)) is LeaseRefusal.CANCELLED


@pytest.mark.parametrize("reaped", [True, False])
def test_a_run_past_its_deadline_is_refused(
    run: Any, evaluator: FakeEvaluator, said: Any, reaped: bool
) -> None:
    attempt = evaluator.begin(run)
    Run.objects.filter(pk=run.pk).update(deadline=seconds_from_now(-1))
    if reaped:
        actions.reap()
    assert said(begin(attempt)) is LeaseRefusal.FAILED
    run.refresh_from_db()
    assert (run.state, run.code) == (RunState.FAILED, Code.NOT_STARTED)


def test_a_report_that_is_refused_is_answered_so(
    run: Any, evaluator: FakeEvaluator, said: Any
) -> None:
    attempt = evaluator.begin(run)
    attempt.spec["grant"] = "d" * 64
    assert said(begin(attempt)) is LeaseRefusal.BAD_MESSAGE
    assert (
        said(begin(FakeAttempt(evaluator, attempt.spec | {"run": NO_RUN})))
        is LeaseRefusal.BAD_MESSAGE
    )


def test_one_without_a_slot_and_other_reports_are_not_answered(
    run: Any, evaluator: FakeEvaluator, said: Any
) -> None:
    attempt = evaluator.begin(run)
    assert said(begin(attempt, slot=None)) == "silence"
    assert said(attempt.graded()[0]) == "silence"


# --- declined runs, and where a run is sent


def announce(evaluator: FakeEvaluator, sets: Any = BOTH, **changes: Any) -> None:
    fields: dict[str, Any] = {
        "moment": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "seconds": 20.0,
        "pool": "default",
        "sets": sets,
        "reads": (3,),
        "software": "0.1.0",
    }
    attempt = FakeAttempt(evaluator, {"run": NO_RUN, "token": 1})
    record_report(envelope=attempt.report(Announcement(**fields | changes)))


def sent(bell: list[Any]) -> list[str]:
    return [options["queue"] for name, _, options in bell if name == EVALUATE_TASK]


def drained(bell: list[Any]) -> list[str]:
    bell.clear()
    Outbox.objects.update(due=seconds_from_now(-1))
    actions.drain_outbox()
    return sent(bell)


def waiting(run: Any) -> Code | None:
    run.refresh_from_db()
    place = actions.queue_place(run)
    return place.held_up_by if place else None


def test_messages_expire(run: Any, bell: Any, settings: Any) -> None:
    drained(bell)
    assert [options["expires"] for name, _, options in bell if name == EVALUATE_TASK] == [
        settings.REDISPATCH_SECONDS
    ]


def test_a_run_goes_to_the_pool_where_all_have_its_sets_and_else_to_one_that_has(
    run: Any, evaluator: FakeEvaluator, bell: Any
) -> None:
    other = second()
    announce(evaluator)
    announce(other)
    assert drained(bell) == ["evaluate.default"]
    announce(evaluator, (PUBLIC,))
    assert drained(bell) == ["journal.evaluator-2"]
    announce(other, (PUBLIC, HeldSet(name="private", sealed=True, digest="b" * 64)))
    assert drained(bell) == []
    assert waiting(run) is Code.UNKNOWN_SET
    announce(evaluator)
    assert drained(bell) == ["journal.evaluator-1"]
    assert waiting(run) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reads": (1, 2)}, Code.UNKNOWN_VERSION),
        ({"sets": ()}, Code.UNKNOWN_SET),
        ({"out_of_service": OutOfService.DISK_FULL}, Code.OUT_OF_SERVICE),
    ],
)
def test_a_run_that_nobody_can_do_waits_with_a_true_reason(
    run: Any, evaluator: FakeEvaluator, bell: Any, change: Any, reason: Code
) -> None:
    announce(evaluator, **change)
    assert drained(bell) == []
    assert waiting(run) is reason
    bell.clear()
    announce(evaluator)
    actions.drain_outbox()
    assert sent(bell) == ["evaluate.default"], (
        "at once, when an evaluator announces what was missing"
    )
    assert waiting(run) is None


def test_a_run_whose_answers_are_programs_goes_to_an_evaluator_that_executes_them(
    run: Any, evaluator: FakeEvaluator, bell: Any
) -> None:
    outbox = Outbox.objects.get(run=run)
    outbox.payload["protocol"] = "humaneval-0shot"
    outbox.save(update_fields=["payload"])
    other = second()
    announce(evaluator)
    announce(other)
    assert drained(bell) == []
    assert waiting(run) is Code.SANDBOX_MISSING
    bell.clear()
    announce(other, host=HostFacts(memory=1 << 30, executes=True))
    actions.drain_outbox()
    assert sent(bell) == ["journal.evaluator-2"], "at once"


def test_without_a_live_evaluator_the_page_says_so(run: Any, evaluator: FakeEvaluator) -> None:
    announce(evaluator)
    assert waiting(run) is None
    type(evaluator.register()).objects.update(expected_by=seconds_from_now(-1))
    assert waiting(run) is Code.EVALUATOR_AWAY


def test_a_declined_run_is_sent_to_another_and_costs_no_attempt(
    run: Any, evaluator: FakeEvaluator, bell: Any
) -> None:
    other = second()
    announce(evaluator)
    announce(other)
    assert drained(bell) == ["evaluate.default"]
    bell.clear()
    declined = evaluator.begin(run).report(Declined(code=Code.SEAL_BROKEN))
    assert record_report(envelope=declined) is Disposition.APPLIED
    actions.drain_outbox()
    assert sent(bell) == ["journal.evaluator-2"]
    run.refresh_from_db()
    assert (run.state, run.token, run.attempts, run.worker) == (RunState.QUEUED, 1, 1, "")
    record_report(envelope=other.begin(run).report(Declined(code=Code.UNKNOWN_SET)))
    bell.clear()
    actions.drain_outbox()
    assert sent(bell) == []
    assert waiting(run) is Code.SEAL_BROKEN
    assert run.state == RunState.QUEUED


def test_what_every_evaluator_declines_for_the_submitters_fault_fails(
    run: Any, evaluator: FakeEvaluator
) -> None:
    other = second()
    announce(evaluator)
    announce(other)
    for one in (evaluator, other):
        run.refresh_from_db()
        assert run.state == RunState.QUEUED
        record_report(envelope=one.begin(run).report(Declined(code=Code.CHECKPOINT_UNKNOWN)))
        actions.drain_outbox()
    run.refresh_from_db()
    assert (run.state, run.code, run.fault) == (RunState.FAILED, Code.CHECKPOINT_UNKNOWN, "theirs")


def test_a_decline_of_an_old_token_or_of_a_run_under_way_changes_nothing(
    run: Any, evaluator: FakeEvaluator
) -> None:
    early = evaluator.begin(run).report(Declined(code=Code.UNKNOWN_SET), token=2)
    assert record_report(envelope=early) is Disposition.STALE
    record_report(envelope=begin(evaluator.begin(run)))
    late = evaluator.begin(run).report(Declined(code=Code.UNKNOWN_SET))
    assert record_report(envelope=late) is Disposition.STALE
    assert not run.declines.exists()


def test_a_key_is_routed_to_those_it_was_sealed_to(
    pair: Any, user: Any, ask: Any, bell: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    announce(evaluator)
    about = {
        "url": "https://models.example.org/v1",
        "served_model": "m",
        "api": "chat",
        "api_key": "sk-1",
    }
    run = actions.submit(
        user=user, key="k", ask=ask(kind="endpoint", checkpoint="", **about)
    ).runs.get()
    late = second()
    announce(late)
    assert drained(bell) == ["journal.evaluator-1"]
    type(late.register()).objects.filter(name="evaluator-1").update(
        expected_by=seconds_from_now(-1)
    )
    assert drained(bell) == []
    assert waiting(run) is Code.KEY_NOT_SEALED


# --- how many messages there are


@pytest.fixture
def many(run: Any, evaluator: FakeEvaluator) -> int:
    """Two live evaluators and 2,000 waiting runs."""
    announce(evaluator)
    announce(second())
    outbox = Outbox.objects.get(run=run)
    runs = [Run(submission=run.submission, **values(run)) for _ in range(1999)]
    Run.objects.bulk_create(runs)
    Outbox.objects.bulk_create(
        [Outbox(run=one, token=1, payload=outbox.payload, due=outbox.due) for one in runs]
    )
    return 2000


def values(run: Run) -> dict[str, Any]:
    names = ("organisation", "pool", "state", "queued_at", "deadline", "total")
    return {name: getattr(run, name) for name in names}


@pytest.mark.parametrize(
    "transport", [pytest.param("counting", marks=pytest.mark.slow), "filesystem", "redis"]
)
def test_a_long_queue_puts_out_a_bounded_number_of_messages(
    many: int, transport: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, request: Any
) -> None:
    """Nobody takes one: over a hundred drains and as many expiries, at most four for each evaluator."""
    messages: list[str] = []
    if transport == "counting":
        monkeypatch.setattr(dispatch, "depth", messages.count)
        monkeypatch.setattr(
            app, "send_task", lambda name, args, queue, **options: messages.append(queue)
        )
    else:
        url = (
            request.getfixturevalue("redis_url")
            if transport == "redis"
            else f"filesystem://{tmp_path}"
        )
        depth = real_broker(url, monkeypatch)
    for _ in range(100 if transport == "counting" else 5):
        Outbox.objects.filter(sent_at__isnull=False).update(due=seconds_from_now(-1))
        actions.drain_outbox()
    found = len(messages) if transport == "counting" else depth()
    assert found == 2 * queue.PER_EVALUATOR
    assert many == Outbox.objects.count()


def real_broker(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    from celery import Celery

    from evaluator.broker import celery_settings

    other = Celery("other", set_as_current=False)
    other.conf.update(celery_settings(url))
    monkeypatch.setattr(dispatch, "app", other)

    def depth() -> int:
        about = celery_settings(url)
        with Connection(
            about["broker_url"], transport_options=about["broker_transport_options"]
        ) as connection:
            return int(
                connection.default_channel.queue_declare(
                    queue="evaluate.default", passive=True
                ).message_count
            )

    return depth


@pytest.mark.slow
def test_a_taken_message_makes_room_for_the_next(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    monkeypatch.setattr(dispatch, "depth", messages.count)
    monkeypatch.setattr(
        app, "send_task", lambda name, args, queue, **options: messages.append(queue)
    )
    total = actions.drain_outbox()
    for _ in range(20):
        messages.pop()
        total += actions.drain_outbox()
    assert total == 2 * queue.PER_EVALUATOR + 20
