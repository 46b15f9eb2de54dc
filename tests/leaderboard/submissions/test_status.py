"""What keeps runs from ending is seen: by maintainers in full, by anybody in short, by a run's author as it concerns it."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from evaluator.contract import HeldSet, HostFacts, OutOfService
from evaluator.errors import EXPLANATIONS, Code, Fault
from leaderboard.accounts.models import User
from leaderboard.celery import WATCH_TASK, app
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions, tasks
from leaderboard.submissions.actions.letters import write_letters
from leaderboard.submissions.models import (
    RECORDED,
    Delivery,
    Heartbeat,
    Letter,
    RefusedReport,
    StateChange,
    seconds_from_now,
)
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ledger.test_announcements import announce
from tests.leaderboard.submissions.test_tasks import send

PUBLIC = HeldSet(name="public", sealed=False, digest="a" * 64)


def held(run: Any) -> tuple[HeldSet, ...]:
    pair = run.submission.pair
    return tuple(
        HeldSet(name=one.name, sealed=one.sealed, digest=one.digest)
        for one in (pair.public, pair.private)
    )


def codes() -> set[str]:
    return {result.code for result in actions.status().check_results if result.problem}


def test_a_healthy_site_has_no_findings(run: Any, evaluator: FakeEvaluator) -> None:
    actions.watch()
    announce(evaluator, sets=held(run))
    assert actions.status().check_results == ()
    assert actions.status().ok


def test_a_dead_beat_is_seen(run: Any, evaluator: FakeEvaluator) -> None:
    announce(evaluator, sets=held(run))
    assert codes() == {"beat_dead"}
    actions.watch()
    assert codes() == set()
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    assert codes() == {"beat_dead"}


@pytest.mark.parametrize(("minutes", "found"), [(0.5, set()), (1.5, {"recorder_late"})])
def test_a_recorder_that_is_behind_is_seen(
    run: Any, evaluator: FakeEvaluator, minutes: float, found: set[str], settings: Any
) -> None:
    settings.LEASE_SECONDS = 60
    announce(evaluator, sets=held(run))
    actions.watch()
    Heartbeat.objects.create(name=RECORDED, at=timezone.now() - timedelta(minutes=minutes))
    assert codes() == found


def test_recorders_are_not_blamed_for_a_dead_beat(run: Any, evaluator: FakeEvaluator) -> None:
    announce(evaluator, sets=held(run))
    actions.watch()
    Heartbeat.objects.create(name=RECORDED, at=timezone.now())
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    assert codes() == {"beat_dead"}


def test_notifications_that_no_worker_sends_are_seen(run: Any, user: User) -> None:
    def found() -> list[str]:
        results = actions.status().check_results
        return [str(one) for one in results if one.code == "notifications_unsent"]

    write_letters(users=[user], key="k", subject="s", text="t")
    assert found() == []
    Letter.objects.update(due=timezone.now() - timedelta(minutes=16))
    (line,) = found()
    assert "celery -A leaderboard.celery worker -Q notifications" in line
    Letter.objects.update(due=None)
    assert found() == [], "what was abandoned is no sign of a missing worker"
    run.state_changes.create(state="graded")
    StateChange.objects.update(moment=timezone.now() - timedelta(minutes=16))
    assert len(found()) == 1
    StateChange.objects.all().delete()
    facts = {"user": user, "event": "ping", "due": timezone.now() - timedelta(minutes=16)}
    Delivery.objects.create(**facts)
    assert len(found()) == 1


def test_the_beat_stamps_by_itself() -> None:
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} >= {WATCH_TASK}


def test_no_evaluator_another_version_and_a_missing_set_are_seen(
    run: Any, evaluator: FakeEvaluator
) -> None:
    actions.watch()
    assert codes() == {"no_evaluator"}
    announce(evaluator, sets=held(run), reads=(1,))
    assert codes() == {"unknown_version"}
    announce(evaluator, later=1, sets=(PUBLIC,))
    assert codes() == {"set_not_held"}
    announce(evaluator, later=2, out_of_service=OutOfService.DISK_FULL)
    assert codes() == {"out_of_service", "no_evaluator"}
    type(run.submission.pair).objects.update(protocol="humaneval-0shot")
    announce(evaluator, later=3, sets=held(run))
    assert codes() == {"sandbox_missing"}
    announce(evaluator, later=4, sets=held(run), host=HostFacts(memory=1 << 30, executes=True))
    assert codes() == set()
    Evaluator.objects.update(expected_by=timezone.now() - timedelta(seconds=1))
    assert codes() == {"no_evaluator"}


def test_the_author_of_a_waiting_run_reads_what_is_true(
    run: Any, make_run: Any, evaluator: FakeEvaluator
) -> None:
    other = make_run(model="Model-2")
    assert "No evaluator has been seen for this pool." in str(actions.queue_place(run))
    announce(evaluator)
    assert "No evaluator in service holds this set" in str(actions.queue_place(run))
    announce(evaluator, later=1, out_of_service=OutOfService.OUT_UNWRITABLE)
    assert "out of service" in str(actions.queue_place(run))
    announce(evaluator, later=2, sets=held(run))
    assert [getattr(actions.queue_place(one), "position", 0) for one in (run, other)] == [1, 2]
    assert "number 2 in the queue" in str(actions.queue_place(other))
    Evaluator.objects.update(expected_by=timezone.now() - timedelta(seconds=1))
    assert "No evaluator has been seen for this pool since" in str(actions.queue_place(run))


def test_a_run_that_has_begun_waits_for_nothing(run: Any, evaluator: FakeEvaluator) -> None:
    actions.record_report(envelope=evaluator.begin(run).started())
    run.refresh_from_db()
    assert actions.queue_place(run) is None


def test_a_run_that_nobody_began_says_so(run: Any) -> None:
    type(run).objects.update(deadline=seconds_from_now(-1))
    actions.reap()
    run.refresh_from_db()
    assert (run.state, run.code, run.fault) == (RunState.FAILED, Code.NOT_STARTED, Fault.OURS)
    assert "Nothing is wrong with the submission" in EXPLANATIONS[Code.NOT_STARTED].advice


def test_refused_reports_are_counted_and_nothing_of_them_is_stored(
    run: Any, evaluator: FakeEvaluator
) -> None:
    for text in ("CNRY one", "CNRY two"):
        send({"report": {"evaluator": evaluator.name, "text": text}, "signature": text})
    send("CNRY three")
    rows = {row.claimed: row for row in RefusedReport.objects.all()}
    assert {name: row.count for name, row in rows.items()} == {evaluator.name: 2, "": 1}
    assert all("CNRY" not in str(list(vars(row).values())) for row in rows.values())
    notes = [str(one) for one in actions.status().check_results if one.code == "refused_reports"]
    assert len(notes) == 2
    assert not any(
        one.problem for one in actions.status().check_results if one.code == "refused_reports"
    )


@pytest.mark.parametrize(
    "envelope", [None, 7, [], {}, {"report": 7}, {"report": {"evaluator": "\0"}}, {"report": {}}]
)
def test_any_refused_report_can_be_counted(db: None, envelope: Any) -> None:
    send(envelope)
    assert RefusedReport.objects.get().count == 1


def test_messages_that_were_set_aside_are_a_note(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "leaderboard.submissions.actions.monitoring.quarantined", lambda _: {"record": 3}
    )
    tasks.watch()
    [note] = [one for one in actions.status().check_results if one.code == "quarantine"]
    assert "3 messages" in note.sentence
    assert not note.problem


# --- who reads it where


def staff() -> User:
    return User.objects.create_user(
        "maintainer", "m@example.org", "a long password 7", is_staff=True
    )


def test_the_page_and_the_api_name_no_host_to_visitors(run: Any, evaluator: FakeEvaluator) -> None:
    announce(evaluator, sets=(PUBLIC,))
    page, data = Client().get("/status/"), Client().get("/api/v1/status")
    assert page.status_code == data.status_code == 200
    for text in (page.content.decode(), data.content.decode()):
        assert evaluator.name not in text
        assert "set_not_held" not in text
        assert "1 of 1 evaluators in service" in text
    assert data.json()["check_results"] is None
    assert not data.json()["ok"]


def test_maintainers_read_every_finding(run: Any, evaluator: FakeEvaluator) -> None:
    announce(evaluator, sets=(PUBLIC,))
    client = Client()
    client.force_login(staff())
    page = client.get("/status/").content.decode()
    found = client.get("/api/v1/status").json()["check_results"]
    assert {one["code"] for one in found} == {"beat_dead", "set_not_held"}
    assert evaluator.name in page
    assert "set_not_held" in page


def test_the_run_page_and_its_json_say_why_it_waits(run: Any) -> None:
    client = Client()
    client.force_login(run.submission.submitted_by)
    assert (
        "No evaluator has been seen for this pool"
        in client.get(f"/runs/{run.pk}/").content.decode()
    )
    assert client.get(f"/api/v1/runs/{run.pk}").json()["waiting"]["position"] == 1


def test_the_doctor_ends_with_one_and_says_what_to_do(
    run: Any, evaluator: FakeEvaluator, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    assert ended.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("problem: beat_dead: ") and "Restart the housekeeping" in line
        for line in lines
    )
    assert any(line.startswith("problem: no_evaluator: ") for line in lines)


def test_the_doctor_ends_with_zero_where_all_is_well(
    run: Any, evaluator: FakeEvaluator, capsys: Any
) -> None:
    actions.watch()
    announce(evaluator, sets=held(run))
    call_command("doctor")
    assert capsys.readouterr().out.splitlines()[-1] == "ok: nothing keeps runs from ending"
