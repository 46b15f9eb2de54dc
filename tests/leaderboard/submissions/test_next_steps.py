"""What comes next for the author of a run: on the page of all runs, by the API and by the command."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client

from evaluator.errors import EXPLANATIONS, Code, Fault
from leaderboard.accounts.actions import enrol, issue_token
from leaderboard.submissions import actions
from leaderboard.submissions.continuation import is_continuable
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState


def failed(run: Any, code: Code) -> Any:
    Run.objects.filter(pk=run.pk).update(
        state=RunState.FAILED, code=code, fault=EXPLANATIONS[code].fault, ended_at=Now()
    )
    run.refresh_from_db()
    return run


@pytest.mark.parametrize("code", list(Code))
def test_every_failure_has_a_next_step(run: Any, code: Code) -> None:
    step = actions.next_step(failed(run, code), {})
    assert step.sentence == EXPLANATIONS[code].advice, "its advice stands in one place"
    if is_continuable(code):
        assert step.act is actions.Act.CONTINUE and step.urgent
    elif EXPLANATIONS[code].fault is Fault.OURS:
        assert step.act is actions.Act.MAINTAINERS and not step.urgent
    else:
        assert step.act is actions.Act.SUBMIT and step.urgent


def test_a_run_that_was_continued_too_often_is_not_continued(run: Any, settings: Any) -> None:
    run.change(continued=settings.MAX_CONTINUES)
    assert actions.next_step(failed(run, Code.ENDPOINT_UNAUTHORIZED), {}).act is actions.Act.SUBMIT


def test_the_page_lists_what_comes_next(run: Any, make_run: Any, client: Client, user: Any) -> None:
    make_run(model="Model-2")
    failed(run, Code.ENDPOINT_UNAUTHORIZED)
    client.force_login(user)
    page = client.get("/mine/").content.decode()
    assert EXPLANATIONS[Code.ENDPOINT_UNAUTHORIZED].advice.replace("'", "&#x27;") in page
    assert "Continue the run" in page and "It begins by itself." in page
    only = client.get("/mine/", {"show": "failed"}).content.decode()
    assert "Model-1" in only and "Model-2" not in only
    assert client.get("/mine/", {"show": "nonsense"}).content.decode().count("<tr><th") == 3, (
        "with the head"
    )
    client.force_login(enrol(username="eve"))
    assert "Model-1" not in client.get("/mine/").content.decode()


def test_the_api_and_the_command_state_the_same(
    run: Any, client: Client, user: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(run, Code.ENDPOINT_UNAUTHORIZED)
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='x')}"}
    assert client.get("/api/v1/mine").status_code == 401
    (listed,) = client.get("/api/v1/mine", headers=headers).json()
    advice = EXPLANATIONS[Code.ENDPOINT_UNAUTHORIZED].advice
    assert listed["next"] == {"act": "continue", "sentence": advice}
    assert listed["run"] == str(run.pk) and listed["code"] == "endpoint_unauthorized"
    assert client.get("/api/v1/mine?offset=1", headers=headers).json() == []
    assert client.get("/api/v1/mine?limit=0", headers=headers).status_code == 422
    call_command("runs", "--by", user.username, "--json")
    assert json.loads(capsys.readouterr().out)["next"] == advice
    call_command("runs", "--by", "eve", "--json")
    assert capsys.readouterr().out == ""


def test_a_graded_run_waits_for_the_next_close(run: Any) -> None:
    Run.objects.filter(pk=run.pk).update(state=RunState.GRADED, ended_at=Now())
    run.refresh_from_db()
    close = datetime(2026, 12, 6, 14, tzinfo=UTC)
    step = actions.next_step(run, {run.submission.pair_id: close})
    assert step.sentence == "Results are published on 6 Dec 2026, 14:00 UTC."
    assert "the maintainers close" in actions.next_step(run, {}).sentence
