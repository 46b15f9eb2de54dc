"""Statements of a model's author: stored with the submission, shown, and marked on the board."""

import csv
import json
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from leaderboard.accounts.actions import issue_token
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run, Statements, Submission
from tests.leaderboard.closing import publish
from tests.leaderboard.sample import make_board, make_pair

STATED = {
    "licence": "apache-2.0",
    "base_model": "org/base-1",
    "knowledge_cutoff": "2025-03-01",
    "trained_on_public": "yes",
}


def test_they_are_stored_once_and_shown_with_the_run(
    make_run: Any, user: Any, client: Client
) -> None:
    run = make_run(**STATED)
    stated = run.submission.statements
    assert (stated.licence, stated.base_model) == ("apache-2.0", "org/base-1")
    client.force_login(user)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "It was trained on all or part of the public set." in page
    assert "Knowledge cut-off: 1 March 2025" in page
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    answer = client.get(f"/api/v1/runs/{run.pk}", headers=headers).json()
    assert answer["statements"] == STATED


def test_without_statements_there_is_no_row(make_run: Any, user: Any, client: Client) -> None:
    run = make_run()
    assert not Statements.objects.exists()
    client.force_login(user)
    assert "Its author states" not in client.get(f"/runs/{run.pk}/").content.decode()
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    assert client.get(f"/api/v1/runs/{run.pk}", headers=headers).json()["statements"] is None


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("licence", "MIT or later"),
        ("licence", "<b>"),
        ("base_model", "a/b/c"),
        ("base_model", "../x"),
        ("base_model", "a" * 194),
        ("knowledge_cutoff", "March 2025"),
        ("knowledge_cutoff", "20250301"),
        ("knowledge_cutoff", "2025-02-30"),
        ("trained_on_public", "maybe"),
    ],
)
def test_a_statement_that_is_none_is_refused_with_its_field(
    user: Any, ask: Any, field: str, value: str
) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**{field: value}))
    assert (refused.value.code, refused.value.detail) == (Refusal.INVALID_FIELD, field)
    assert not Submission.objects.exists()


def test_a_key_from_before_still_fits(ask: Any) -> None:
    assert ask().fingerprint() == ask(licence="").fingerprint()
    assert ask().fingerprint() != ask(licence="mit").fingerprint()


@pytest.mark.usefixtures("bell", "pair")
def test_the_form_and_the_api_take_them(user: Any, client: Client) -> None:
    client.force_login(user)
    form = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "checkpoint", "checkpoint": "c"}
    assert client.post("/submit/", form | STATED).status_code == 302
    token = issue_token(user=user, name="t")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k2"}
    body = {name: value for name, value in form.items() if name != "key"} | STATED
    made = client.post("/api/v1/submissions", json.dumps(body), "application/json", headers=headers)
    assert made.status_code == 201, made.content
    assert Statements.objects.count() == 2
    refused = client.post("/submit/", form | {"key": "k3", "knowledge_cutoff": "soon"})
    assert refused.status_code == 422


@pytest.mark.django_db
def test_a_disclosed_row_is_ranked_and_marked_everywhere(client: Client) -> None:
    pair = make_pair()
    make_board(pair)
    run = Run.objects.filter(submission__model__name="demo-honest").first()
    assert run is not None
    Statements.objects.create(submission=run.submission, trained_on_public="yes")
    publish(pair=pair)
    name = run.submission.model.name
    page = client.get(f"/boards/{pair.slug}/").content.decode()
    assert page.count("discloses training</span>") == 1
    rows = client.get(f"/api/v1/board?pair={pair.slug}").json()["rows"]
    assert {row["model"]: row["trained_on_public"] for row in rows if row["trained_on_public"]} == {
        name: True
    }
    text = client.get(f"/boards/{pair.slug}.csv").content.decode()
    marked = [
        row["model"] for row in csv.DictReader(StringIO(text)) if row["trained_on_public"] == "True"
    ]
    assert marked == [name]
    assert (
        "It was trained on all or part of the public set."
        in client.get(f"/models/{name}/").content.decode()
    )
