"""The maintainers' console: for maintainers only, read-only, and every act is in the log."""

from typing import Any

import pytest
from django.test import Client

from leaderboard.accounts import actions
from leaderboard.accounts.admin import site
from leaderboard.accounts.models import AuditEntry, Organisation, Scope, User
from leaderboard.evidence.models import Cohort
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState


@pytest.fixture
def keeper(db: None) -> Client:
    actions.enrol(username="keeper")
    client = Client()
    client.force_login(actions.set_maintainer(username="keeper", maintains=True))
    return client


def lists() -> list[str]:
    return [f"/manage/{one._meta.app_label}/{one._meta.model_name}/" for one in site._registry]


def act(client: Client, path: str, action: str, *rows: Any) -> str:
    fields = {"action": action, "_selected_action": [str(one.pk) for one in rows]}
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
        assert keeper.get(f"{path}add/").status_code == 404
    for one in (run, run.submission.model, run.submission.pair, User.objects.first()):
        name = f"/manage/{one._meta.app_label}/{one._meta.model_name}/{one.pk}/"
        assert keeper.get(f"{name}change/").status_code == 200
        assert keeper.get(f"{name}history/").status_code == 200
        assert keeper.get(f"{name}delete/").status_code == 404
        assert keeper.post(f"{name}change/", {"name": "x", "username": "x"}).status_code == 403


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
    act(keeper, path, "retract_wrong_setup", run)
    retracted = Run.objects.get()
    assert (retracted.retracted_why, str(retracted.retracted_by)) == ("wrong_setup", "keeper")
    entries = list(AuditEntry.objects.order_by("pk").values_list("actor", "act", "subject"))
    assert [one[0] for one in entries] == ["keeper"] * 3
    assert [one[1].split()[-1] for one in entries] == ["cancel", "requeue", "retract_wrong_setup"]
    assert all(str(run.pk) in one[2] for one in entries)


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
