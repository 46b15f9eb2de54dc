"""Cancelling and requeueing a run by the API and by a command."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from evaluator.errors import Code
from leaderboard.accounts.actions import issue_token, sign_up
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Run, seconds_from_now
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import make_maintainer
from tests.leaderboard.submissions.test_api import is_problem


@pytest.fixture
def act(client: Client, run: Any, user: Any) -> Any:
    def made(what: str, by: Any = user, to: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {issue_token(user=by, name='t')}"} if by else {}
        return client.post(f"/api/v1/runs/{to or run.pk}/{what}", headers=headers)

    return made


def failed(run: Any, evaluator: FakeEvaluator) -> None:
    record_report(envelope=evaluator.begin(run).failed(Code.ENDPOINT_UNAUTHORIZED))


def test_its_submitter_cancels_a_run_once(act: Any, run: Any) -> None:
    answer = act("cancel")
    assert (answer.status_code, answer.json()["state"], answer.json()["id"]) == (
        200,
        "cancelled",
        str(run.pk),
    )
    assert is_problem(act("cancel"), 409, "not_now")


def test_a_maintainer_cancels_and_requeues_any_run(
    act: Any, run: Any, evaluator: FakeEvaluator
) -> None:
    keeper = make_maintainer("keeper")
    assert is_problem(act("requeue", keeper), 409, "not_now")
    failed(run, evaluator)
    answer = act("requeue", keeper).json()
    assert (answer["state"], answer["failure"]) == ("queued", None)
    assert act("cancel", keeper).json()["state"] == "cancelled"


def test_others_may_not(act: Any, run: Any, user: Any, evaluator: FakeEvaluator) -> None:
    stranger = sign_up(username="eve", password=None, organisation="Elsewhere")
    failed(run, evaluator)
    for what in ("cancel", "requeue"):
        assert is_problem(act(what, None), 401, "unauthorized")
        assert is_problem(act(what, stranger), 404, "not_found")
        assert is_problem(
            act(what, make_maintainer("k" + what), "00000000-0000-0000-0000-000000000000"),
            404,
            "not_found",
        )
    assert is_problem(act("requeue"), 403, "forbidden")
    run.refresh_from_db()
    assert run.state == "failed"


def test_the_api_and_the_page_say_why_a_run_waits(
    client: Client, run: Any, user: Any, evaluator: Any
) -> None:
    client.force_login(user)
    assert client.get(f"/api/v1/runs/{run.pk}").json()["held_up"] is None
    row = evaluator.register()
    type(row).objects.update(
        last_seen=seconds_from_now(-99), expected_by=seconds_from_now(-9), announced_pool="default"
    )
    assert client.get(f"/api/v1/runs/{run.pk}").json()["held_up"]["code"] == "evaluator_away"
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "evaluator_away" in page
    assert "our fault: you need not do anything" in page


def test_the_page_of_a_run_that_waits_again_says_nothing_of_its_first_start(
    client: Client, run: Any, user: Any, evaluator: FakeEvaluator
) -> None:
    client.force_login(user)
    attempt = evaluator.begin(run)
    record_report(envelope=attempt.started())
    assert "<dt>Started</dt>" in client.get(f"/runs/{run.pk}/").content.decode()
    record_report(envelope=attempt.failed(Code.LEASE_LOST))
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "Attempt 2" in page
    assert "<dt>Started</dt>" not in page


def command(*args: str) -> list[Any]:
    out = StringIO()
    call_command("runs", *args, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_runs_are_listed_requeued_and_cancelled_at_a_terminal(
    make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    first, second = make_run(), make_run(model="Model-2")
    failed(first, evaluator)
    assert [row["state"] for row in command()] == ["failed", "queued"]
    [row] = command("--state", "failed", "--code", "endpoint_unauthorized", "--requeue")
    assert row == {"run": str(first.pk), "state": "queued"}
    assert command(str(second.pk), "--cancel") == [{"run": str(second.pk), "state": "cancelled"}]
    with pytest.raises(CommandError, match="1 of 2 runs were left as they are"):
        call_command("runs", "--pair", "pair", "--cancel", stdout=StringIO())
    assert set(Run.objects.values_list("state", flat=True)) == {"cancelled"}


@pytest.mark.parametrize(
    "args", [["--cancel"], ["--requeue"], ["00000000-0000-0000-0000-000000000000"]]
)
def test_nothing_is_done_to_runs_that_were_not_named(run: Any, args: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("runs", *args, stdout=StringIO())
    run.refresh_from_db()
    assert run.state == "queued"
