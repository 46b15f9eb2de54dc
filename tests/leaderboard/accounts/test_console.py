"""The maintainers' console: for maintainers only, read-only, and every act is in the log."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.core.files.base import ContentFile
from django.test import Client

from leaderboard.accounts import actions
from leaderboard.accounts.admin import site
from leaderboard.accounts.models import AuditEntry, Organisation, Scope, User
from leaderboard.benchmarks.models import Notice
from leaderboard.evidence.models import Cohort, Reference
from leaderboard.published.models import PublishedTable
from leaderboard.submissions.models import Lineage, LineageRecord, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard import sealed
from tests.leaderboard.published.fixtures import small

RECORDED = {
    "watch",
    "overlap",
    "reference",
    "lineage",
    "lineagerecord",
    "notice",
    "publishedtable",
    "quotaentry",
    "plannedclose",
}


@pytest.fixture
def keeper(db: None) -> Client:
    actions.enrol(username="keeper")
    client = Client()
    client.force_login(actions.set_maintainer(username="keeper", maintains=True))
    return client


def lists() -> list[str]:
    return [f"/manage/{one._meta.app_label}/{one._meta.model_name}/" for one in site._registry]


def act(client: Client, path: str, action: str, *rows: Any, why: str = "asked by mail") -> str:
    fields = {"action": action, "_selected_action": [str(one.pk) for one in rows], "why": why}
    answer = client.post(path, fields, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_every_list_and_every_row_is_shown(keeper: Client, run: Any) -> None:
    # The first request loads the addresses, and with them the lists of all apps.
    assert keeper.get("/manage/").status_code == 200
    assert len(lists()) >= 14
    for path in lists():
        page = keeper.get(path)
        assert page.status_code == 200, path
        assert "no-store" in page.headers["Cache-Control"]
        recorded = path.split("/")[3] in RECORDED
        assert keeper.get(f"{path}add/").status_code == (200 if recorded else 404)
    for one in (run, run.submission.model, run.submission.pair, User.objects.first()):
        name = f"/manage/{one._meta.app_label}/{one._meta.model_name}/{one.pk}/"
        assert keeper.get(f"{name}change/").status_code == 200
        assert keeper.get(f"{name}history/").status_code == 200
        assert keeper.get(f"{name}delete/").status_code == 404
        assert keeper.post(f"{name}change/", {"name": "x", "username": "x"}).status_code == 403


def test_dates_are_iso_dates_with_24_hours(keeper: Client, run: Any) -> None:
    Run.objects.update(queued_at=datetime(2026, 11, 3, 15, 4, tzinfo=UTC))
    User.objects.update(date_joined=datetime(2026, 11, 3, 0, 0, tzinfo=UTC))
    for path, shown in (("submissions/run/", "15:04"), ("accounts/user/", "00:00")):
        assert f"2026-11-03 {shown}<" in keeper.get(f"/manage/{path}").content.decode(), path
    page = keeper.get(f"/manage/submissions/run/{run.pk}/change/").content.decode()
    assert "2026-11-03 15:04" in page and "p.m." not in page


def test_an_organisation_is_verified_or_not_in_words(keeper: Client, user: User) -> None:
    organisation = user.organisation()
    assert organisation is not None
    rows = "/manage/accounts/organisation/"
    unverified = ">not verified</(td|div)>"
    for path in (rows, f"{rows}{organisation.pk}/change/"):
        assert re.search(unverified, keeper.get(path).content.decode())
    act(keeper, rows, "verify", organisation)
    link = f"{rows}{organisation.pk}/change/"
    assert link in keeper.get(f"{rows}?verified=yes").content.decode()
    assert link not in keeper.get(f"{rows}?verified=no").content.decode()
    Organisation.objects.update(verified=datetime(2026, 11, 3, 15, 4, tzinfo=UTC))
    for path in (rows, f"{rows}{organisation.pk}/change/"):
        page = keeper.get(path).content.decode()
        assert not re.search(unverified, page) and "2026-11-03 15:04" in page


def test_the_console_shows_no_secret(keeper: Client, run: Any, user: User) -> None:
    user.set_password("plugboard 7 rotor")
    user.save()
    page = keeper.get(f"/manage/accounts/user/{user.pk}/change/").content.decode()
    assert "md5" not in page and user.password not in page and "pbkdf2" not in page
    names = {one._meta.model_name for one in site._registry}
    assert not names & {"apitoken", "authenticator", "runoutcomes", "submission", "invitation"}


def test_others_are_kept_out(run: Any, user: User, settings: Any) -> None:
    settings.MAINTAINERS_SECOND_FACTOR = True
    author, staff = Client(), Client()
    author.force_login(user)
    actions.enrol(username="keeper")
    staff.force_login(actions.set_maintainer(username="keeper", maintains=True))
    for path in ["/manage/", *lists()]:
        assert Client().get(path, follow=True).redirect_chain[-1][0].startswith("/accounts/sign-in")
        assert author.get(path, follow=True).status_code == 404
        assert staff.get(path, follow=True).redirect_chain[-1][0] == "/accounts/2fa/"
    for client in (author, staff):
        client.post("/manage/submissions/run/", {"action": "cancel", "_selected_action": run.pk})
    run.refresh_from_db()
    assert run.state == RunState.QUEUED and not AuditEntry.objects.exists()


def test_the_queue_is_steered(keeper: Client, run: Any) -> None:
    path = "/manage/submissions/run/"
    assert "Model-1" in keeper.get(path).content.decode()
    assert "Cancelled: 1" in act(keeper, path, "cancel", run)
    assert Run.objects.get().state == RunState.CANCELLED
    assert "state does not allow this" in act(keeper, path, "requeue", run)
    shown = '<td class="field-is_retracted">'
    assert f"{shown}no</td>" in keeper.get(f"{path}?retracted__exact=0").content.decode()
    act(keeper, path, "retract_wrong_setup", run)
    assert f"{shown}yes</td>" in keeper.get(f"{path}?retracted__exact=1").content.decode()
    assert shown not in keeper.get(f"{path}?retracted__exact=0").content.decode()
    retracted = Run.objects.get()
    assert (retracted.retracted_why, str(retracted.retracted_by)) == ("wrong_setup", "keeper")
    entries = list(AuditEntry.objects.order_by("pk").values_list("actor", "act", "subject"))
    assert [one[0] for one in entries] == ["keeper"] * 3
    assert [one[1].split()[-1] for one in entries] == ["cancel", "requeue", "retract_wrong_setup"]
    assert all(str(run.pk) in one[2] for one in entries)
    assert set(AuditEntry.objects.values_list("why", flat=True)) == {"asked by mail"}


def test_an_act_without_a_reason_is_not_carried_out(keeper: Client, run: Any) -> None:
    page = act(keeper, "/manage/submissions/run/", "cancel", run, why=" ")
    assert "State a reason" in page
    assert Run.objects.get().state == RunState.QUEUED


def record(client: Client, path: str, **fields: Any) -> Any:
    return client.post(f"/manage/{path}/add/", {"why": "seen in the paper"} | fields, follow=True)


def test_lineages_and_references_are_recorded(keeper: Client, run: Any) -> None:
    assert record(keeper, "submissions/lineage", name="north").status_code == 200
    record(keeper, "submissions/lineage", name="northern", parents=["north"])
    assert [one.name for one in Lineage.objects.get(name="northern").parents.all()] == ["north"]
    answer = record(keeper, "submissions/lineage", name="north", parents=["northern"])
    assert answer.status_code == 400 and "descend" in answer.content.decode()
    facts = {"model": "Model-1", "lineage": "northern", "weights": "5e" * 32}
    record(keeper, "submissions/lineagerecord", **facts)
    assert LineageRecord.objects.get().lineage.name == "northern"
    assert record(keeper, "submissions/lineagerecord", **facts, why="").status_code == 422
    pair = run.submission.pair.slug
    assert record(keeper, "evidence/reference", pair=pair, model="none").status_code == 404
    record(keeper, "evidence/reference", pair=pair, model="Model-1")
    named = Reference.objects.get()
    assert (named.why, str(named.named_by)) == ("seen in the paper", "keeper")
    entry = AuditEntry.objects.order_by("-pk")[0]
    assert entry.act == "POST manage/evidence/reference/add/"
    assert (entry.subject, entry.why) == (f"pair={pair} model=Model-1", "seen in the paper")


def test_notices_and_tables_are_published(keeper: Client) -> None:
    def file(text: str) -> Any:
        return ContentFile(text.encode(), name="x")

    answer = record(keeper, "benchmarks/notice", notices=file("{"))
    assert answer.status_code == 422 and "JSON lines" in answer.content.decode()
    assert record(keeper, "benchmarks/notice", notices=file("[1]")).status_code == 400
    made = sealed.seal()
    sealed.register(made)
    notice = made.notice(None, kind="retire_block", block=2, reason="spent")
    record(keeper, "benchmarks/notice", notices=file(json.dumps(notice.to_dict())))
    assert Notice.objects.get().item_set.version == 1
    facts = {"slug": "others", "source": "A paper"}
    answer = record(keeper, "published/publishedtable", table=file("model\nx"), **facts)
    assert answer.status_code == 400 and not PublishedTable.objects.exists()
    record(keeper, "published/publishedtable", table=file(small().decode()), **facts)
    table = PublishedTable.objects.get()
    assert (table.slug, table.title, table.rows.count()) == ("others", "open and shut", 15)
    assert "Analysed: 1" in act(keeper, "/manage/published/publishedtable/", "analyse_again", table)


def test_the_help_of_a_form_has_no_tags_in_sight(keeper: Client) -> None:
    page = keeper.get("/manage/benchmarks/overlap/add/").content.decode()
    assert "<code>holdfast overlap</code>" in page and "&lt;code&gt;" not in page


def test_a_lost_second_factor_is_reset(keeper: Client, user: User) -> None:
    Authenticator.objects.create(user=user, type="totp", data={})
    act(keeper, "/manage/accounts/user/", "reset_second_factor", user)
    assert not Authenticator.objects.exists()
    entry = AuditEntry.objects.get()
    assert entry.act.endswith("reset_second_factor") and str(user.pk) in entry.subject


def test_people_and_names(keeper: Client, user: User) -> None:
    token = actions.issue_token(user=user, name="x")
    author = Client()
    author.force_login(user)
    act(keeper, "/manage/accounts/user/", "suspend", user)
    assert author.get("/mine/").status_code == 302
    headers = {"Authorization": f"Bearer {token}"}
    assert Client().get("/api/v1/organisations", headers=headers).status_code == 401
    act(keeper, "/manage/accounts/user/", "readmit", user)
    assert Client().get("/api/v1/organisations", headers=headers).status_code == 200
    owned = Organisation.objects.get(name="Analytical")
    path = "/manage/accounts/organisation/"
    act(keeper, path, "verify", owned)
    owned.refresh_from_db()
    assert owned.verified and owned.verified_by == "keeper"
    act(keeper, path, "take_name", owned)
    owned.refresh_from_db()
    assert owned.name == f"Organisation {owned.pk}" and owned.verified is None


def test_a_preview_stores_nothing(keeper: Client, pair: Any) -> None:
    from tests.leaderboard.sample import make_board, make_pair

    board = make_pair()
    make_board(board)
    path = "/manage/benchmarks/setpair/"
    assert "round 1 decides about 5 runs" in act(keeper, path, "preview", board)
    assert not Cohort.objects.exists()
    assert "round 1 decides about 5 runs" in act(keeper, path, "close", board)
    assert Cohort.objects.count() == 1
    assert "has no run to decide about" in act(keeper, path, "preview", pair)


def test_acts_by_token_are_in_the_log(user: User, run: Any) -> None:
    actions.set_maintainer(username="ada", maintains=True)
    token = actions.issue_token(user=user, name="x", scope=Scope.MANAGE)
    headers = {"Authorization": f"Bearer {token}"}
    Client().get("/api/v1/organisations", headers=headers)
    assert not AuditEntry.objects.exists()
    assert Client().post(f"/api/v1/runs/{run.pk}/cancel", headers=headers).status_code == 200
    assert AuditEntry.objects.get().act == f"POST /api/v1/runs/{run.pk}/cancel"


def test_no_act_without_the_log(keeper: Client, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: str) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(actions, "record_act", full)
    keeper.raise_request_exception = False
    fields = {"action": "cancel", "_selected_action": run.pk}
    assert keeper.post("/manage/submissions/run/", fields).status_code == 500
    assert Run.objects.get().state == RunState.QUEUED
