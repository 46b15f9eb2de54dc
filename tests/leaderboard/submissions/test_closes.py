"""Closes that maintainers plan: who plans them, what shows them, who carries them out."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from leaderboard.accounts.actions import issue_token
from leaderboard.accounts.models import AuditEntry, Scope
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.tasks import rebuild
from leaderboard.errors import SiteError
from leaderboard.evidence.models import Cohort
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.models import Letter, PlannedClose, Run
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.sample import make_pair, make_run

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def maintainer() -> Any:
    return make_maintainer("curator")


@pytest.fixture
def pair() -> SetPair:
    return make_pair()


def waiting(pair: SetPair, days: float) -> Run:
    run = make_run(pair, "waits", public=300, private=300)
    Run.objects.filter(pk=run.pk).update(ended_at=NOW - timedelta(days=days))
    return run


def past(plan: PlannedClose, **ago: float) -> None:
    PlannedClose.objects.filter(pk=plan.pk).update(at=NOW - timedelta(**ago))


def codes() -> dict[str, Any]:
    found = actions.status().check_results
    return {one.code: one for one in found if "close" in one.code or "graded" in one.code}


def test_a_plan_is_on_every_page_in_the_calendar_and_in_the_api(
    pair: SetPair, maintainer: Any, client: Client
) -> None:
    at = (NOW + timedelta(days=20)).replace(second=0, microsecond=0)
    actions.plan_close(pair=pair.slug, at=at, by=maintainer)
    shown = f'<time datetime="{at.isoformat()}">'
    for page in ("/", f"/boards/{pair.slug}/", "/status/"):
        assert shown in client.get(page).content.decode(), page
    assert f"DTSTART:{at:%Y%m%dT%H%M%SZ}" in client.get("/closes.ics").content.decode()
    (listed,) = client.get("/api/v1/closes").json()
    assert (listed["pair"], listed["at"]) == ("demo", f"{at:%Y-%m-%dT%H:%M:%SZ}")
    assert client.get("/api/v1/status").json()["closes"][0]["pair"] == "demo"
    (entry,) = client.get("/api/v1/benchmarks").json()
    assert entry["next_close"] == at.isoformat()


def test_a_planned_close_comes_before_the_clock(
    pair: SetPair, maintainer: Any, settings: Any
) -> None:
    settings.COHORT_SECONDS = 7 * 86400
    waiting(pair, 8)
    assert actions.is_due(pair=pair)
    at = NOW + timedelta(days=5)
    actions.plan_close(pair=pair.slug, at=at, by=maintainer)
    assert not actions.is_due(pair=pair) and actions.request_rankings() == 0
    assert actions.next_closes() == {pair.pk: at}


@pytest.mark.usefixtures("bell")
def test_a_close_is_carried_out_when_it_is_due(pair: SetPair, maintainer: Any) -> None:
    run = waiting(pair, 1)
    plan = actions.plan_close(pair=pair.slug, at=NOW + timedelta(days=1), by=maintainer)
    rebuild(pair.slug)
    run.refresh_from_db()
    assert run.state == "graded" and actions.request_rankings() == 0
    past(plan, minutes=1)
    assert actions.request_rankings() == 1
    rebuild(pair.slug)
    run.refresh_from_db()
    plan.refresh_from_db()
    assert run.state == "ranked" and plan.closed_at and Cohort.objects.count() == 1
    assert actions.request_rankings() == 0 and not list(actions.planned_closes())


def test_a_close_by_hand_leaves_a_later_plan(pair: SetPair, maintainer: Any) -> None:
    waiting(pair, 1)
    actions.plan_close(pair=pair.slug, at=NOW + timedelta(days=1), by=maintainer)
    call_command("close_cohort", pair.slug, stdout=StringIO())
    assert len(list(actions.planned_closes())) == 1


@pytest.mark.usefixtures("bell")
@pytest.mark.parametrize("by_clock", [False, True])
def test_what_contradicts_hinders_a_close_and_maintainers_are_told_once(
    pair: SetPair, maintainer: Any, evaluator: FakeEvaluator, settings: Any, by_clock: bool
) -> None:
    settings.COHORT_SECONDS = 86400 if by_clock else 0
    run = waiting(pair, 2)
    evaluator.register()
    Evaluator.objects.update(flagged=True)
    Run.objects.filter(pk=run.pk).update(evaluator=Evaluator.objects.get())
    if not by_clock:
        plan = actions.plan_close(pair=pair.slug, at=NOW + timedelta(days=1), by=maintainer)
        past(plan, hours=2)
    EmailAddress.objects.create(user=maintainer, email="c@lab.example", primary=True, verified=True)
    for _ in range(2):
        assert actions.request_rankings() == 0
    rebuild(pair.slug)
    run.refresh_from_db()
    assert run.state == "graded"
    actions.deliver()
    (sent,) = mail.outbox
    assert sent.to == ["c@lab.example"] and str(run.pk) in sent.body
    assert Letter.objects.get().delivered_at
    if not by_clock:
        assert "contradict each other" in codes()["close_hindered"].sentence
        assert actions.next_closes() == {}
        assert actions.close_rule(pair) == "by the maintainers, later than planned"


def test_doctor_names_a_run_that_waits_too_long(
    pair: SetPair, maintainer: Any, settings: Any
) -> None:
    run = waiting(pair, 6.9)
    assert "graded_long" not in codes()
    run = waiting(pair, 7.1)
    found = codes()["graded_long"]
    assert found.problem and str(run.pk) in found.sentence
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("doctor", stdout=out)
    assert f"graded_long: Run {run.pk} on demo has waited as graded since" in out.getvalue()
    actions.plan_close(pair=pair.slug, at=NOW + timedelta(days=3), by=maintainer)
    assert not codes()["graded_long"].problem and "closes on" in codes()["graded_long"].sentence


def test_doctor_warns_a_day_before_a_close(pair: SetPair, settings: Any) -> None:
    settings.COHORT_SECONDS = 7 * 86400
    waiting(pair, 5.9)
    assert codes() == {}
    Run.objects.update(ended_at=NOW - timedelta(days=6.1))
    assert not codes()["close_near"].problem


def test_only_maintainers_plan_and_only_ahead(pair: SetPair, maintainer: Any, user: Any) -> None:
    ahead = NOW + timedelta(days=1)
    cases = [
        (user, pair.slug, ahead, "forbidden"),
        (maintainer, "none", ahead, "unknown_pair"),
        (maintainer, pair.slug, NOW - timedelta(seconds=1), "invalid_field"),
        (maintainer, pair.slug, NOW + timedelta(days=400), "invalid_field"),
        (maintainer, pair.slug, ahead.replace(tzinfo=None), "invalid_field"),
    ]
    for by, slug, at, code in cases:
        with pytest.raises(SiteError) as refused:
            actions.plan_close(pair=slug, at=at, by=by)
        assert refused.value.code == code
    assert not PlannedClose.objects.exists()
    why = SetPair.Withdrawal.values[0]
    SetPair.objects.update(withdrawn_at=NOW, withdrawn_by=maintainer, withdrawn_why=why)
    with pytest.raises(SiteError) as refused:
        actions.plan_close(pair=pair.slug, at=ahead, by=maintainer)
    assert refused.value.code == "pair_withdrawn"


def test_the_api_and_the_command_plan_list_and_withdraw(
    pair: SetPair, maintainer: Any, client: Client
) -> None:
    token = issue_token(user=maintainer, name="ci", scope=Scope.MANAGE)
    headers = {"Authorization": f"Bearer {token}"}
    at = (NOW + timedelta(days=2)).replace(microsecond=0)
    body = {"pair": "demo", "at": at.isoformat()}
    for _ in range(2):
        made = client.post("/api/v1/closes", body, "application/json", headers=headers)
        assert made.status_code == 201
    out = StringIO()
    call_command("plan_close", stdout=out)
    assert out.getvalue() == f"{made.json()['id']}: demo on {at:%Y-%m-%d %H:%M} UTC\n"
    gone = client.delete(f"/api/v1/closes/{made.json()['id']}", headers=headers)
    assert gone.status_code == 204 and not PlannedClose.objects.exists()
    call_command("plan_close", "demo", f"{at:%Y-%m-%dT%H:%M}", by="curator", stdout=StringIO())
    call_command("plan_close", withdraw=PlannedClose.objects.get().pk, by="curator")
    assert not PlannedClose.objects.exists()
    acts = set(AuditEntry.objects.values_list("act", flat=True))
    assert {"plan_close", "withdraw_close"} <= acts
    for moment in ("soon", "2001-01-01T00:00"):
        with pytest.raises(CommandError):
            call_command("plan_close", "demo", moment, by="curator")


def test_the_console_plans_and_withdraws(pair: SetPair, maintainer: Any, client: Client) -> None:
    client.force_login(maintainer)
    facts = {"pair": "demo", "at": f"{NOW + timedelta(days=2):%Y-%m-%dT%H:%M}", "why": "monthly"}
    answer = client.post("/manage/submissions/plannedclose/add/", facts)
    assert answer.status_code == 302
    plan = PlannedClose.objects.get()
    withdrawn = {"action": "withdraw", "_selected_action": [plan.pk], "why": "a holiday"}
    client.post("/manage/submissions/plannedclose/", withdrawn)
    assert not PlannedClose.objects.exists()
