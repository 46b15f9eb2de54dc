"""Evaluators that maintainers cordon, pause and resume: what they are given, and what they hold."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from evaluator.contract import EVALUATE_TASK, Failed, LeaseRefusal
from evaluator.errors import Code
from leaderboard.accounts.models import AuditEntry, User
from leaderboard.errors import SiteError
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Outbox, Run, seconds_from_now
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.submissions.test_leases import (
    announce,
    begin,
    drained,
    progress,
    said,
    second,
    sent,
)

__all__ = ["said"]


def cordon(name: str = "evaluator-1", *, pause: bool = False) -> Evaluator:
    return actions.cordon(name=name, why="a new driver", by="keeper", pause=pause)


def words(name: str = "evaluator-1") -> str:
    return actions.condition(actions.with_condition(Evaluator.objects.filter(name=name)).get())


def held_by(run: Any) -> tuple[str, str]:
    run.refresh_from_db()
    return run.state, run.evaluator.name if run.evaluator else ""


def test_a_cordoned_evaluator_is_sent_no_run(
    run: Any, make_run: Any, evaluator: FakeEvaluator, bell: Any
) -> None:
    """Not by the pool's queue either, which it reads like the others."""
    announce(evaluator)
    announce(second())
    cordon()
    assert drained(bell) == ["journal.evaluator-2"]
    cordon("evaluator-2")
    assert drained(bell) == []
    run.refresh_from_db()
    assert run.waiting == Code.OUT_OF_SERVICE
    bell.clear()
    actions.resume(name="evaluator-1")
    actions.drain_outbox()
    assert sent(bell) == ["journal.evaluator-1"]


def test_a_run_that_waited_begins_when_an_evaluator_is_resumed(
    run: Any, evaluator: FakeEvaluator, bell: Any, django_capture_on_commit_callbacks: Any
) -> None:
    announce(evaluator)
    cordon()
    assert drained(bell) == []
    with django_capture_on_commit_callbacks(execute=True):
        actions.resume(name="evaluator-1")
    assert sent(bell) == ["evaluate.default"]


def test_a_run_that_it_begins_all_the_same_goes_elsewhere(
    run: Any, evaluator: FakeEvaluator, said: Any, bell: Any
) -> None:
    """It had the message before it was cordoned. Its claim on the token ends with the attempt."""
    other = second()
    announce(evaluator)
    announce(other)
    attempt = evaluator.begin(run)
    cordon()
    assert said(begin(attempt)) is LeaseRefusal.REPLACED
    assert [options["queue"] for name, _, options in bell if name == EVALUATE_TASK] == [
        "journal.evaluator-2"
    ]
    assert held_by(run) == (RunState.QUEUED, "")
    assert (run.token, run.attempts) == (2, 1)
    assert said(begin(other.begin(run))) is None
    assert held_by(run) == (RunState.LEASED, "evaluator-2")


def test_the_runs_that_a_cordoned_evaluator_holds_finish(
    run: Any, evaluator: FakeEvaluator, said: Any
) -> None:
    announce(evaluator)
    attempt = evaluator.begin(run)
    assert said(begin(attempt)) is None
    assert words() == "working"
    cordon()
    assert words() == "cordoned, 1 run left"
    assert said(progress(attempt)) is None
    for report in [*attempt.graded(), attempt.finished()]:
        record_report(envelope=report)
    assert held_by(run) == (RunState.GRADED, "evaluator-1")
    assert words() == "cordoned, drained"


def test_the_run_of_a_paused_evaluator_goes_elsewhere_with_what_is_left(
    run: Any, evaluator: FakeEvaluator, said: Any, bell: Any
) -> None:
    other = second()
    announce(evaluator)
    announce(other)
    attempt = evaluator.begin(run)
    said(begin(attempt))
    for report in attempt.graded(attempt.open_items()[:6]):
        record_report(envelope=report)
    cordon(pause=True)
    assert words() == "paused, 1 run left"
    assert said(progress(attempt)) is LeaseRefusal.REPLACED
    assert "journal.evaluator-2" in [options["queue"] for _, _, options in bell]
    assert held_by(run) == (RunState.QUEUED, "")
    assert (run.token, run.attempts) == (2, 1), "it costs no attempt"
    following = other.begin(run)
    assert len(following.open_items()) == 10
    for report in following.story():
        record_report(envelope=report)
    assert held_by(run) == (RunState.GRADED, "evaluator-2")


def test_a_run_that_a_paused_evaluator_has_done_is_not_taken_back(
    run: Any, evaluator: FakeEvaluator, said: Any
) -> None:
    """A report of its outcomes is still on its way when it asks for its lease again."""
    announce(evaluator)
    attempt = evaluator.begin(run)
    said(begin(attempt))
    first, *rest = attempt.graded()
    record_report(envelope=first)
    record_report(envelope=attempt.finished())
    cordon(pause=True)
    assert said(progress(attempt)) is None
    for report in rest:
        record_report(envelope=report)
    assert held_by(run) == (RunState.GRADED, "evaluator-1")


def test_states_in_words(run: Any, evaluator: FakeEvaluator) -> None:
    assert words() == "silent"
    announce(evaluator)
    assert words() == "ready"
    announce(evaluator, out_of_service="disk_full")
    assert words() == "out of service: disk_full"
    Evaluator.objects.update(expected_by=seconds_from_now(-1))
    assert words() == "silent"


def test_a_cordon_needs_a_reason_and_a_known_evaluator(run: Any) -> None:
    for facts, code in (
        ({"name": "evaluator-1", "why": " "}, "invalid_field"),
        ({"name": "nobody", "why": "a driver"}, "not_found"),
    ):
        with pytest.raises(SiteError) as refused:
            actions.cordon(**facts, by="keeper")
        assert refused.value.code == code
    with pytest.raises(SiteError) as refused:
        actions.resume(name="evaluator-1")
    assert refused.value.code == "not_now"
    assert Evaluator.objects.get().cordon == ""


def test_the_public_page_shows_counts_and_no_names(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    announce(evaluator)
    announce(second())
    second("evaluator-3")
    cordon()
    page = client.get("/status/").content.decode()
    assert "1 of 3 evaluators in service, 1 cordoned, 1 silent." in page
    assert not any(secret in page for secret in ("evaluator-1", "keeper", "a new driver"))
    [pool] = client.get("/api/v1/status").json()["pools"]
    assert [pool[name] for name in ("in_service", "cordoned", "silent")] == [1, 1, 1]
    cordon("evaluator-2")
    cordon("evaluator-3")
    assert "Every evaluator is cordoned" in client.get("/status/").content.decode()


def test_the_doctor_names_a_cordon_as_a_note(run: Any, evaluator: FakeEvaluator) -> None:
    announce(evaluator)
    cordon()
    [found] = [one for one in actions.status().check_results if one.code == "cordoned"]
    assert not found.problem
    assert "evaluator-1 is cordoned by keeper" in found.sentence
    assert found.sentence.endswith("UTC: a new driver.")
    Evaluator.objects.update(expected_by=seconds_from_now(-1))
    assert "evaluator_silent" not in {one.code for one in actions.status().check_results}


def test_the_console_cordons_with_a_reason_and_shows_it(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    announce(evaluator)
    client.force_login(make_maintainer("keeper"))
    path = "/manage/ledger/evaluator/"

    def act(action: str, why: str) -> str:
        form = {"action": action, "why": why, "_selected_action": str(Evaluator.objects.get().pk)}
        return client.post(path, form, follow=True).content.decode()

    assert "State a reason" in act("cordon", "")
    assert Evaluator.objects.get().cordon == ""
    for action, state in (("cordon", "cordoned, drained"), ("pause", "paused, drained")):
        page = act(action, "a new driver")
        assert all(part in page for part in (state, "keeper", "a new driver", " s ago"))
        written = AuditEntry.objects.latest("pk")
        assert written.act.endswith(action)
        assert (written.actor, written.why) == ("keeper", "a new driver")
    assert "ready" in act("resume", "the driver is in")


def test_the_last_error_of_an_evaluator_is_shown(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    record_report(envelope=begin(attempt))
    record_report(envelope=attempt.report(Failed(code=Code.HOST_DIED)))
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    row = Evaluator.objects.get()
    assert (row.last_error, row.last_error_at is not None) == ("host_died", True)
    client.force_login(make_maintainer("keeper"))
    assert "host_died" in client.get("/manage/ledger/evaluator/").content.decode()


def test_a_fault_of_the_submitter_is_no_error_of_its_evaluator(
    run: Any, evaluator: FakeEvaluator
) -> None:
    attempt = evaluator.begin(run)
    record_report(envelope=begin(attempt))
    record_report(envelope=attempt.report(Failed(code=Code.CHECKPOINT_UNKNOWN)))
    assert Evaluator.objects.get().last_error == ""


def test_a_run_that_stopping_evaluators_hand_back_goes_on_at_once_however_often(
    run: Any, evaluator: FakeEvaluator, said: Any, bell: Any, settings: Any
) -> None:
    announce(evaluator)
    for _ in range(settings.MAX_ATTEMPTS + 1):
        attempt = evaluator.begin(run)
        said(begin(attempt))
        said(attempt.report(Failed(code=Code.HANDED_BACK)))
        assert sent(bell) == ["evaluate.default"]
        assert held_by(run) == (RunState.QUEUED, "")
    assert (run.attempts, Evaluator.objects.get().last_error) == (1, "")
    for report in evaluator.begin(run).story():
        record_report(envelope=report)
    assert held_by(run) == (RunState.GRADED, "evaluator-1")


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("evaluators", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_cordons_prints_and_resumes(
    run: Any, evaluator: FakeEvaluator, user: User
) -> None:
    make_maintainer("keeper")
    announce(evaluator)
    why = ("--why", "a new driver", "--by", "keeper")
    printed = command("--cordon", "evaluator-1", *why)
    assert "evaluator-1  default  cordoned, drained  seen 0 s ago  by keeper since" in printed
    assert printed == command()
    written = AuditEntry.objects.latest("pk")
    assert (written.act, written.subject, written.why) == (
        "cordon evaluator",
        "evaluator-1",
        "a new driver",
    )
    assert "paused, drained" in command("--pause", "evaluator-1", *why)
    assert "evaluator-1  default  ready" in command("--resume", "evaluator-1", *why)
    for bad in (
        ("--cordon", "evaluator-1", "--by", "keeper"),
        ("--cordon", "evaluator-1", "--why", "a driver", "--by", "ada"),
        ("--cordon", "nobody", *why),
        ("--resume", "evaluator-1", *why),
    ):
        with pytest.raises(CommandError):
            command(*bad)
    assert Evaluator.objects.get().cordon == ""


def test_the_command_waits_for_the_runs_that_are_left(run: Any, evaluator: FakeEvaluator) -> None:
    make_maintainer("keeper")
    announce(evaluator)
    record_report(envelope=begin(evaluator.begin(run)))
    act = ("--cordon", "evaluator-1", "--why", "a driver", "--by", "keeper", "--wait", "0.01")
    with pytest.raises(CommandError, match="still holds a run"):
        command(*act)
    Run.objects.update(state=RunState.GRADED, lease_expires=None, ended_at=seconds_from_now(0))
    assert "cordoned, drained" in command(*act)


def test_a_cordon_costs_no_query_for_each_run(
    run: Any, evaluator: FakeEvaluator, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        second(f"evaluator-{number + 2}")
    with django_assert_max_num_queries(1):
        rows = actions.with_condition(Evaluator.objects.all())
        assert [actions.condition(row) for row in rows] == 4 * ["silent"]
    assert Outbox.objects.count() == 1
