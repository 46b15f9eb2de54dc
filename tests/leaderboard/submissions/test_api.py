"""The API: what it answers, and that whatever is sent gets a code, a message and advice, never a 5xx."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from leaderboard.accounts.actions import enrol, issue_token
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run, Submission
from tests.leaderboard.conftest import FakeEvaluator

GOOD = {"pair": "pair", "model": "Model-1", "kind": "checkpoint", "checkpoint": "honest"}


@pytest.fixture
def token(user: Any) -> str:
    return issue_token(user=user, name="tests")


def post(client: Client, token: str, body: Any, *, key: str | None = "k1", **extra: Any) -> Any:
    headers = {"Authorization": f"Bearer {token}"} | (
        {"Idempotency-Key": key} if key is not None else {}
    )
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    kind = extra.pop("content_type", "application/json")
    return client.post("/api/v1/submissions", data, content_type=kind, headers=headers, **extra)


def is_problem(response: Any, status: int, code: str) -> bool:
    told = response.json()
    assert (response.status_code, told.get("code")) == (status, code), told
    assert set(told) == {"code", "message", "advice"}
    assert all(told.values())
    return True


@pytest.mark.usefixtures("pair", "bell")
def test_a_submission_and_its_run(client: Client, token: str) -> None:
    first = post(client, token, GOOD)
    assert first.status_code == 201
    assert post(client, token, GOOD).json() == first.json()
    made = first.json()
    assert made["run"] == str(Run.objects.get().pk)
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(f"/api/v1/submissions/{made['id']}", headers=headers).json() == made
    run = client.get(f"/api/v1/runs/{made['run']}", headers=headers).json()
    assert (run["state"], run["done"], run["total"], run["percent"], run["final"]) == (
        "queued",
        0,
        16,
        0,
        False,
    )
    assert (run["failure"], run["sets"], run["model"]) == (None, [], "Model-1")


BAD_BODIES = {
    "nothing": ("", 422, "invalid_field"),
    "no json": ("{", 400, "bad_json"),
    "a list": ("[]", 400, "bad_json"),
    "null": ("null", 400, "bad_json"),
    "a number": ("1", 400, "bad_json"),
    "nan": ('{"parameters": NaN}', 400, "bad_json"),
    "infinity": ('{"parameters": -Infinity}', 400, "bad_json"),
    "a key twice": ('{"pair": "pair", "pair": "other"}', 400, "bad_json"),
    "deep": ("[" * 10_000 + "]" * 10_000, 400, "bad_json"),
    "deep inside": ('{"pair": ' + "[" * 100_000 + "]" * 100_000 + "}", 400, "bad_json"),
    "long integer": ('{"parameters": ' + "9" * 5000 + "}", 400, "bad_json"),
    "not utf-8": (b'{"pair": "\xff"}', 400, "bad_json"),
    "too large": ('{"pair": "' + "a" * 5_000_000 + '"}', 413, "too_large"),
    "empty object": ({}, 422, "invalid_field"),
    "unknown field": (GOOD | {"is_official": True}, 422, "invalid_field"),
    "state": (GOOD | {"state": "ranked"}, 422, "invalid_field"),
    "orm keyword": (GOOD | {"_connector": "OR"}, 422, "invalid_field"),
    "dunder": (GOOD | {"__class__": "x"}, 422, "invalid_field"),
    "wrong kind": (GOOD | {"kind": "image"}, 422, "invalid_field"),
    "null field": (GOOD | {"model": None}, 422, "invalid_field"),
    "object field": (GOOD | {"model": {"a": 1}}, 422, "invalid_field"),
    "number as text": (GOOD | {"parameters": "7"}, 422, "invalid_field"),
    "fraction": (GOOD | {"parameters": 1.5}, 422, "invalid_field"),
    "overflow": ('{"parameters": 1e400}', 422, "invalid_field"),
    "minus zero": (GOOD | {"parameters": 0}, 422, "invalid_field"),
    "negative": (GOOD | {"parameters": -1}, 422, "invalid_field"),
    "text as truth": (GOOD | {"open_weights": "yes"}, 422, "invalid_field"),
    "surrogate": (
        '{"pair": "pair", "model": "\\ud800", "kind": "checkpoint"}',
        422,
        "invalid_field",
    ),
    "nul": (GOOD | {"model": "a\0b"}, 422, "invalid_field"),
    "nul in pair": (GOOD | {"pair": "a\0b"}, 422, "invalid_field"),
    "bidi": (GOOD | {"model": "GPT\u202e4"}, 422, "invalid_field"),
    "zalgo": (GOOD | {"model": "a" + "\u0301" * 79}, 422, "invalid_field"),
    "markup": (GOOD | {"model": "<img src=x onerror=alert(1)>"}, 422, "invalid_field"),
    "template": (GOOD | {"model": "{{7*7}}"}, 422, "invalid_field"),
    "formula": (GOOD | {"model": "=HYPERLINK(1)"}, 422, "invalid_field"),
    "sql": (GOOD | {"pair": "x' OR 1=1 --"}, 422, "invalid_field"),
    "long": (GOOD | {"model": "m" * 10_000}, 422, "invalid_field"),
    "unknown pair": (GOOD | {"pair": "elsewhere"}, 422, "unknown_pair"),
    "path": (GOOD | {"checkpoint": "../../etc/passwd"}, 422, "invalid_field"),
    "both kinds": (GOOD | {"url": "https://h.example/v1"}, 422, "invalid_field"),
    "loopback": (
        {
            "pair": "pair",
            "model": "m",
            "kind": "endpoint",
            "url": "https://127.0.0.1/",
            "served_model": "m",
            "api": "chat",
        },
        422,
        "endpoint_refused",
    ),
    "newline in key": (
        {
            "pair": "pair",
            "model": "m",
            "kind": "endpoint",
            "url": "https://h.example/v1",
            "served_model": "m",
        }
        | {"api": "chat", "api_key": "a\r\nHost: evil"},
        422,
        "bad_api_key",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.usefixtures("pair", "bell")
def test_bad_bodies(client: Client, token: str, name: str) -> None:
    body, status, code = BAD_BODIES[name]
    response = post(client, token, body)
    assert is_problem(response, status, code)
    for sent in ("onerror", "HYPERLINK", "is_official", "_connector", "etc/passwd", "evil"):
        assert sent not in response.content.decode()
    assert Submission.objects.count() == 0
    assert post(client, token, GOOD, key="k2").status_code == 201, "and the site goes on"


@pytest.mark.parametrize("key", [None, "", "a b", "k" * 101, "../x"])
@pytest.mark.usefixtures("pair", "bell")
def test_bad_idempotency_keys(client: Client, token: str, key: str | None) -> None:
    assert is_problem(post(client, token, GOOD, key=key), 400, "idempotency_key_missing")


@pytest.mark.usefixtures("pair", "bell")
def test_the_same_key_with_another_body(client: Client, token: str) -> None:
    post(client, token, GOOD)
    assert is_problem(
        post(client, token, GOOD | {"checkpoint": "other"}), 409, "idempotency_key_reused"
    )


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {0}", "{0}", "Bearer {0}x", "upper"]
)
@pytest.mark.usefixtures("pair", "bell")
def test_strangers(client: Client, token: str, header: str) -> None:
    value = f"Bearer {token.upper()}" if header == "upper" else header.format(token)
    headers = {"Authorization": value, "Idempotency-Key": "k1"}
    response = client.post(
        "/api/v1/submissions", json.dumps(GOOD), content_type="application/json", headers=headers
    )
    assert is_problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.usefixtures("pair", "bell")
def test_a_token_in_the_address_or_a_session_is_no_way_in(
    client: Client, token: str, user: Any
) -> None:
    client.force_login(user)
    response = client.post(
        f"/api/v1/submissions?token={token}",
        json.dumps(GOOD),
        "application/json",
        headers={"Idempotency-Key": "k1"},
    )
    assert is_problem(response, 401, "unauthorized")


@pytest.mark.parametrize("end", ["revoke", "suspend"])
@pytest.mark.usefixtures("pair", "bell")
def test_a_token_that_was_ended(client: Client, token: str, user: Any, end: str) -> None:
    if end == "revoke":
        user.tokens.all().revoke()
    else:
        user.is_active = False
        user.save()
    assert is_problem(post(client, token, GOOD), 401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/nothing", 404),
        ("/api/v1/runs/1", 404),
        ("/api/v1/runs/00000000-0000-0000-0000-000000000000", 404),
        ("/api/v1/runs/00000000-0000-0000-0000-00000000000g", 404),
        ("/api/v1/ledger?limit=0", 422),
        ("/api/v1/ledger?limit=-1", 422),
        ("/api/v1/ledger?limit=1e9", 422),
        ("/api/v1/ledger?before=99999999999999999999", 422),
        ("/api/v1/ledger?before=%00", 400),
    ],
)
def test_bad_addresses(client: Client, db: None, path: str, status: int) -> None:
    assert is_problem(
        client.get(path),
        status,
        {400: "bad_address", 404: "not_found", 422: "invalid_field"}[status],
    )


@pytest.mark.parametrize("number", ["0", "999999999999999999999999", "1"])
def test_bad_submission_numbers(client: Client, token: str, number: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert is_problem(
        client.get(f"/api/v1/submissions/{number}", headers=headers), 404, "not_found"
    )


@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_other_methods(client: Client, db: None, method: str) -> None:
    assert getattr(client, method)("/api/v1/submissions").status_code == 405


def test_only_ranked_runs_are_public(
    client: Client, run: Any, evaluator: FakeEvaluator, token: str, user: Any
) -> None:
    address = f"/api/v1/runs/{run.pk}"
    other = issue_token(user=enrol(username="eve"), name="tests")
    assert is_problem(client.get(address), 404, "not_found")
    assert is_problem(
        client.get(address, headers={"Authorization": f"Bearer {other}"}), 404, "not_found"
    )
    headers = {"Authorization": f"Bearer {other}"}
    foreign = f"/api/v1/submissions/{run.submission_id}"
    assert is_problem(client.get(foreign, headers=headers), 404, "not_found")
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    mine = client.get(address, headers={"Authorization": f"Bearer {token}"})
    assert mine.json()["state"] == "graded"
    assert mine.headers["Cache-Control"] == "no-store, private"
    assert is_problem(client.get(address), 404, "not_found")
    actions.mark_ranked(run_ids=[run.pk])
    shown = client.get(address).json()
    assert [(one["set"], one["n"], one["right"]) for one in shown["sets"]] == [
        (claim.name, claim.n, claim.right) for claim in evaluator.begin(run).counts()
    ]


def test_progress_moves_in_tenths(
    client: Client, run: Any, evaluator: FakeEvaluator, token: str
) -> None:
    attempt = evaluator.begin(run)
    seen = set()
    for done in range(17):
        actions.record_report(envelope=attempt.progress(done))
        told = client.get(
            f"/api/v1/runs/{run.pk}", headers={"Authorization": f"Bearer {token}"}
        ).json()
        seen.add((told["percent"], told["done"]))
    assert {percent for percent, _ in seen} == {10 * (done * 10 // 16) for done in range(17)}
    assert len(seen) == 11, "never a count of single items"


def test_nothing_of_an_outcome_by_index_is_told(
    client: Client, run: Any, evaluator: FakeEvaluator, token: str
) -> None:
    for report in evaluator.begin(run).story():
        actions.record_report(envelope=report)
    actions.mark_ranked(run_ids=[run.pk])
    for path in (f"/api/v1/runs/{run.pk}", "/api/v1/sets", "/api/v1/board"):
        text = client.get(path).content.decode()
        assert "packed" not in text and "outcomes" not in text and '"items"' not in text


@pytest.mark.parametrize(
    "path", ["/api/v1/sets", "/api/v1/ledger", "/api/v1/board", "/", "/ledger/", "/sets/"]
)
def test_a_database_that_is_away(client: Client, db: None, path: str, monkeypatch: Any) -> None:
    from django.db.models.sql.compiler import SQLCompiler

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("CNRY could not connect to host")

    monkeypatch.setattr(SQLCompiler, "execute_sql", away)
    response = client.get(path)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "CNRY" not in response.content.decode()
    if path.startswith("/api/"):
        assert is_problem(response, 503, "database_away")


def test_the_documentation_is_served_from_here(client: Client, db: None) -> None:
    page = client.get("/api/v1/docs").content.decode()
    assert "swagger" in page
    assert "://" not in page.replace("http://testserver", "")
    schema = client.get("/api/v1/openapi.json").json()
    assert {
        "/api/v1/submissions",
        "/api/v1/runs/{run_id}",
        "/api/v1/ledger",
        "/api/v1/sets",
        "/api/v1/board",
    } <= set(schema["paths"])


def test_operations_are_named_by_app_and_function_not_by_module(client: Client, db: None) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    names = {
        operation["operationId"] for methods in paths.values() for operation in methods.values()
    }
    assert {
        "leaderboard_submissions_api_submit",
        "leaderboard_submissions_api_cancel",
        "leaderboard_submissions_api_grade_again",
        "leaderboard_ledger_api_ledger",
    } <= names
    assert len(names) == sum(len(methods) for methods in paths.values())
