"""The pages: what they say in every state, to whom, and that they need no script."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from evaluator.errors import EXPLANATIONS, Code
from leaderboard.accounts.actions import enrol
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator

FORM = {
    "key": "k1",
    "pair": "pair",
    "model": "Model-1",
    "kind": "checkpoint",
    "checkpoint": "honest",
}


@pytest.fixture
def ada(client: Client, user: Any) -> Client:
    client.force_login(user)
    return client


def text_of(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    page: str = response.content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "no inline script"
    assert not re.search(r"\son[a-z]+=|style=|javascript:", page), "no inline handler or style"
    policy = response.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy and "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Referrer-Policy"] == "same-origin"
    return page


@pytest.mark.usefixtures("pair", "bell")
def test_submitting_by_the_form(ada: Client) -> None:
    page = text_of(ada.get("/submit/"))
    assert re.search(r'name="key" value="[A-Za-z0-9_-]{22}"', page)
    for _ in range(2):
        response = ada.post("/submit/", FORM)
        run = Run.objects.get()
        assert (response.status_code, response.headers["Location"]) == (302, f"/runs/{run.pk}/")
    assert "Queued." in text_of(ada.get(f"/runs/{run.pk}/"))
    assert "Model-1" in text_of(ada.get("/mine/"))


@pytest.mark.usefixtures("pair", "bell")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "<script>alert(1)</script>"}, "A field is missing, unknown or not valid: model"),
        ({"model": "a\0b"}, "Null characters are not allowed"),
        ({"checkpoint": ""}, "not valid: checkpoint"),
        ({"kind": "other"}, "Select a valid choice"),
        ({"pair": "elsewhere"}, "Select a valid choice"),
        ({"parameters": "many"}, "Enter a whole number"),
        ({"parameters": "9" * 30}, "not valid: parameters"),
        ({"key": ""}, "This field is required"),
        (
            {
                "kind": "endpoint",
                "checkpoint": "",
                "url": "https://127.0.0.1/",
                "served_model": "m",
                "api": "chat",
            },
            "This address may not be called.",
        ),
    ],
    ids=repr,
)
def test_a_form_that_is_not_taken_says_why(ada: Client, changes: Any, says: str) -> None:
    page = text_of(ada.post("/submit/", FORM | changes), 422)
    assert says in page or changes.get("key") == ""
    assert "<script>alert" not in page
    assert not Run.objects.exists()


@pytest.mark.usefixtures("pair", "bell")
def test_a_refused_form_does_not_repeat_the_api_key(ada: Client) -> None:
    fields = {
        "kind": "endpoint",
        "checkpoint": "",
        "url": "nonsense",
        "served_model": "m",
        "api": "chat",
    }
    assert "sk-canary" not in text_of(
        ada.post("/submit/", FORM | fields | {"api_key": "sk-canary"}), 422
    )


def test_a_form_of_a_hundred_thousand_fields(ada: Client) -> None:
    assert ada.post("/submit/", {f"f{number}": "" for number in range(1000)}).status_code == 400


def test_a_form_without_its_csrf_token(user: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert client.post("/submit/", FORM).status_code == 403


def test_pages_that_need_somebody(client: Client, db: None) -> None:
    for path in ("/submit/", "/mine/", "/accounts/tokens/"):
        assert client.get(path).headers["Location"] == f"/accounts/sign-in/?next={path}"


def test_a_run_is_shown_in_every_state(ada: Client, run: Any, evaluator: FakeEvaluator) -> None:
    address = f"/runs/{run.pk}/"
    attempt = evaluator.begin(run)

    def live(word: str) -> str:
        page = text_of(ada.get(address))
        assert f"<b>{word}</b>" in page
        assert '<noscript><meta http-equiv="refresh"' in page
        assert f'hx-get="{address}progress/?state=' in page
        return page

    live("Queued.")
    actions.record_report(envelope=attempt.started())
    live("Starting.")
    for report in attempt.graded(attempt.open_items()[:8]):
        actions.record_report(envelope=report)
    assert "<span data-run-percent>50%</span>" in live("Running.")
    for report in [*attempt.graded(attempt.open_items()[8:]), attempt.finished()]:
        actions.record_report(envelope=report)
    live("Graded.")
    actions.mark_ranked(run_ids=[run.pk])
    page = text_of(ada.get(address))
    assert "<b>Ranked.</b>" in page
    assert "refresh" not in page and "hx-get" not in page


@pytest.mark.parametrize("code", list(Code))
def test_every_failure_is_explained(ada: Client, run: Any, code: Code) -> None:
    from django.db.models.functions import Now

    known = EXPLANATIONS[code]
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, code=code, fault=known.fault, ended_at=Now()
    )
    page = text_of(ada.get(f"/runs/{run.pk}/")).replace("&#x27;", "'")
    assert known.sentence in page and known.advice in page and code in page
    assert ("our fault" in page) == (known.fault == "ours")


def test_a_code_of_another_version_is_explained_as_internal(ada: Client, run: Any) -> None:
    from django.db.models.functions import Now

    Run.objects.filter(pk=run.pk).update(
        state="failed", code="not_known_here", fault="ours", ended_at=Now()
    )
    assert "internal" in text_of(ada.get(f"/runs/{run.pk}/"))


def test_a_run_does_not_exist_for_others(
    client: Client, run: Any, evaluator: FakeEvaluator
) -> None:
    address = f"/runs/{run.pk}/"
    nobody = text_of(client.get(address), 404)
    client.force_login(enrol(username="eve"))
    assert client.get(address).status_code == 404
    for name in ("cancel", "requeue"):
        assert client.post(f"{address}{name}/").status_code == 404
    assert text_of(client.get("/runs/00000000-0000-0000-0000-000000000000/"), 404) == nobody
    client.logout()
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    actions.mark_ranked(run_ids=[run.pk])
    assert "Ranked." in text_of(client.get(address))


def test_withdrawing_and_queueing_again(
    ada: Client, run: Any, user: Any, evaluator: FakeEvaluator
) -> None:
    address = f"/runs/{run.pk}/"
    assert ada.get(f"{address}cancel/").status_code == 405
    page = ada.post(f"{address}cancel/", follow=True).content.decode()
    assert "The run is cancelled." in page and "<b>Cancelled.</b>" in page
    assert "not_now" in ada.post(f"{address}cancel/", follow=True).content.decode()
    assert ada.post(f"{address}requeue/").status_code == 404, "for the staff only"
    user.is_staff = True
    user.save()
    assert "not_now" in ada.post(f"{address}requeue/", follow=True).content.decode()


def test_pages_of_signed_in_people_are_not_kept(ada: Client, run: Any) -> None:
    for path in ("/mine/", "/submit/", "/accounts/tokens/", f"/runs/{run.pk}/", "/ledger/"):
        assert ada.get(path).headers["Cache-Control"] == "no-store, private", path


def test_the_list_asks_no_more_queries_for_more_runs(ada: Client, make_run: Any) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            ada.get("/mine/")
        return len(asked)

    make_run()
    queries()  # the pace of the pool is cached
    one = queries()
    for _ in range(5):
        make_run()
    assert queries() == one
