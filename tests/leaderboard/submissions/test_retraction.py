"""A retracted run: who may retract it and why, and what its page, the API and the board then state."""

import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from leaderboard.accounts.actions import issue_token
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from tests.leaderboard.closing import publish
from tests.leaderboard.ruled import grade, make_maintainer, make_model, make_pair, retract
from tests.leaderboard.submissions.test_pages import text_of

pytestmark = pytest.mark.django_db
WHY = "the model or its endpoint was set up wrongly"


@pytest.fixture
def run() -> Run:
    pair = make_pair()
    made = grade(pair, make_model("Alpha"), 5)
    publish(pair=pair)
    return made


def test_the_page_of_a_retracted_run_states_reason_and_maintainer(client: Client, run: Run) -> None:
    before = text_of(client.get(f"/runs/{run.pk}/"))
    assert "<b>Ranked.</b>" in before and "See the ranking" in before
    retract(run.pk)
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "<b>Retracted.</b> Every item has an outcome. It has no rank" in page
    assert "<b>Retracted</b> by curator on " in page and f"UTC: {WHY}." in page
    assert "Ranked." not in page and "the board shows it" not in page
    assert "See the ranking" not in page and "Retract the run" not in page


def test_the_page_of_a_run_from_after_the_release_does_not_say_ranked(
    client: Client, run: Run
) -> None:
    Run.objects.update(post_release=True)
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "<b>Graded after the release.</b>" in page
    assert "Ranked." not in page and "See the ranking" not in page


def test_maintainers_retract_a_run_on_its_page(client: Client, run: Run) -> None:
    address = f"/runs/{run.pk}/"
    assert client.post(address + "retract/", {"reason": "by_request"}).status_code == 404
    assert "Retract the run" not in text_of(client.get(address))
    client.force_login(make_maintainer("grace"))
    assert "Retract the run" in text_of(client.get(address))
    client.post(address + "retract/", {"reason": "by_request"})
    assert not Run.objects.get().retracted, "without the tick"
    client.post(address + "retract/", {"reason": "by_request", "sure": "on"})
    page = text_of(client.get(address))
    assert "<b>Retracted</b> by grace on " in page and "its author asked for it" in page


def test_maintainers_retract_a_run_by_the_api(client: Client, run: Run) -> None:
    address = f"/api/v1/runs/{run.pk}/retraction"
    secrets = [
        issue_token(user=one, name="x")
        for one in (run.submission.submitted_by, make_maintainer("grace"))
    ]
    asked: dict[str, Any] = {"data": {"reason": "wrong_setup"}, "content_type": "application/json"}
    assert client.post(address, **asked).status_code == 401
    bearer = [{"Authorization": f"Bearer {secret}"} for secret in secrets]
    assert client.post(address, **asked, headers=bearer[0]).status_code == 403
    refused = client.post(address, asked | {"data": {}}, headers=bearer[1], content_type="text/x")
    assert refused.status_code in (400, 422)
    answer = client.post(address, **asked, headers=bearer[1])
    assert answer.status_code == 201
    retraction = answer.json()["retraction"]
    assert (retraction["reason"], retraction["message"]) == ("wrong_setup", WHY)
    assert client.get(f"/api/v1/runs/{run.pk}").json()["retraction"] == retraction


def test_maintainers_retract_a_run_by_command(run: Run) -> None:
    make_maintainer("grace")
    out = StringIO()
    call_command("retract_run", str(run.pk), reason="wrong_setup", by="grace", stdout=out)
    assert out.getvalue() == f"{run.pk}: retracted, {WHY}\n"
    with pytest.raises(CommandError, match="not_found"):
        call_command("retract_run", str(uuid.uuid4()), reason="wrong_setup", by="grace")
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("retract_run", str(run.pk), "--reason", "spite", "--by", "grace")


def refusal(**changes: Any) -> Any:
    with pytest.raises(SiteError) as refused:
        actions.retract_run(**changes)
    return refused.value.code


def test_a_retraction_needs_a_maintainer_and_a_reason_of_the_list(run: Run) -> None:
    ada = make_maintainer("ada")
    assert (
        refusal(run=run.pk, reason="by_request", by=run.submission.submitted_by)
        is Refusal.FORBIDDEN
    )
    assert refusal(run=run.pk, reason="spite", by=ada) is Refusal.INVALID_FIELD
    assert refusal(run=uuid.uuid4(), reason="by_request", by=ada) is Refusal.NOT_FOUND
    assert not Run.objects.get().retracted


def test_the_first_reason_stays(run: Run) -> None:
    retract(run.pk)
    actions.retract_run(run=run.pk, reason="by_request", by=make_maintainer("grace"))
    stored = Run.objects.get()
    assert (stored.retracted_why, stored.retracted_by) == (
        "wrong_setup",
        make_maintainer("curator"),
    )
