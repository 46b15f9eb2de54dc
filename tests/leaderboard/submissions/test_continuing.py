"""A failed run goes on at its author's wish: with the items left, and with the key from before or a new one."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from evaluator.contract import JobSpec, Reasons, unpack_bits
from evaluator.errors import Code, EvaluatorError
from leaderboard.accounts.actions import issue_token
from leaderboard.accounts.models import User
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions, tasks
from leaderboard.submissions.models import Outbox, Run, run_counts
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator

URL = "https://models.example.org/v1"
ENDPOINT = {"kind": "endpoint", "checkpoint": "", "url": URL, "served_model": "m", "api": "chat"}
SECRET = "sk-canary-0123456789"


class Failing:
    """A run of an endpoint with a key, and its way to a failure."""

    def __init__(self, user: User, ask: Any, evaluator: FakeEvaluator, key: str) -> None:
        evaluator.register()
        self.user, self.evaluator = user, evaluator
        self.run = actions.submit(user=user, key="k1", ask=ask(**ENDPOINT, api_key=key)).runs.get()

    def fail(self, code: Code = Code.ENDPOINT_UNREACHABLE, *, answered: int = 4) -> Run:
        """End the attempt after some answers."""
        self.run.refresh_from_db()
        attempt = self.evaluator.begin(self.run)
        actions.record_report(envelope=attempt.started())
        for report in attempt.graded(attempt.open_items()[:answered]):
            actions.record_report(envelope=report)
        actions.record_report(envelope=attempt.failed(code))
        self.run.refresh_from_db()
        assert self.run.state == RunState.FAILED
        return self.run

    def go_on(self, **about: Any) -> Run:
        """Continue as the author."""
        self.run = actions.continue_run(run=self.run.pk, by=about.pop("by", self.user), **about)
        return self.run

    def has_key(self) -> bool:
        """Whether a sealed key is stored."""
        self.run.submission.refresh_from_db()
        return self.run.submission.has_key


@pytest.fixture
def failing(pair: Any, user: Any, ask: Any, bell: Any, evaluator: FakeEvaluator) -> Failing:
    return Failing(user, ask, evaluator, SECRET)


def refusal(action: Any) -> Refusal | Code:
    with pytest.raises(SiteError) as caught:
        action()
    return caught.value.code


def test_what_was_answered_is_not_asked_again_and_the_key_is_there(failing: Failing) -> None:
    failing.fail(answered=4)
    assert failing.has_key()
    run = failing.go_on()
    assert (run.state, run.token, run.continued, run.done) == (RunState.QUEUED, 2, 1, 4)
    spec = JobSpec.from_dict(Outbox.objects.get(run=run, token=2).payload)
    assert sum(len(unpack_bits(asked.done, asked.n)) for asked in spec.sets) == 4
    for report in failing.evaluator.begin(run).story():
        actions.record_report(envelope=report)
    run.refresh_from_db()
    assert run.state == RunState.GRADED
    assert not failing.has_key()


@pytest.mark.parametrize(
    ("code", "continuable", "key_stays"),
    [
        (Code.INCOMPLETE, True, True),
        (Code.ENDPOINT_UNREACHABLE, True, True),
        (Code.ENDPOINT_RATE_LIMITED, True, True),
        (Code.ENDPOINT_NO_CREDIT, True, True),
        (Code.ENDPOINT_BAD_RESPONSE, True, True),
        (Code.ENDPOINT_UNAUTHORIZED, True, False),
        (Code.ENDPOINT_NO_TEMPERATURE, False, False),
        (Code.ENDPOINT_REFUSED, False, False),
        (Code.CONTROL_FAILED, False, False),
    ],
)
def test_codes(failing: Failing, code: Code, continuable: bool, key_stays: bool) -> None:
    failing.fail(code)
    assert failing.has_key() is key_stays
    if not continuable:
        assert refusal(failing.go_on) is Refusal.NOT_NOW
    elif not key_stays:
        assert refusal(failing.go_on) is Refusal.KEY_NEEDED
        assert failing.go_on(api_key="sk-new").state == RunState.QUEUED
    else:
        assert failing.go_on().state == RunState.QUEUED


def test_the_key_is_erased_after_the_grace_time_and_no_earlier(
    failing: Failing, settings: Any
) -> None:
    failing.fail()
    Run.objects.update(ended_at=timezone.now() - timedelta(seconds=settings.KEY_GRACE_SECONDS - 60))
    tasks.reap()
    assert failing.has_key()
    Run.objects.update(ended_at=timezone.now() - timedelta(seconds=settings.KEY_GRACE_SECONDS + 60))
    tasks.reap()
    assert not failing.has_key()
    assert refusal(failing.go_on) is Refusal.KEY_NEEDED
    assert failing.go_on(api_key="sk-new").state == RunState.QUEUED
    assert failing.has_key()


def test_a_key_is_not_erased_under_a_run_that_went_on(failing: Failing, settings: Any) -> None:
    settings.KEY_GRACE_SECONDS = 0
    failing.fail()
    failing.go_on()
    actions.erase_old_keys()
    assert failing.has_key()


def test_how_often_is_bounded(failing: Failing, settings: Any) -> None:
    settings.MAX_CONTINUES = 2
    for _ in range(2):
        failing.fail(answered=1)
        failing.go_on()
    failing.fail(answered=1)
    assert refusal(failing.go_on) is Refusal.CONTINUED_TOO_OFTEN


def test_strangers_find_nothing_and_keys_are_checked(failing: Failing) -> None:
    failing.fail()
    other = User.objects.create_user("mallory", password="x")
    assert refusal(lambda: failing.go_on(by=other)) is Refusal.NOT_FOUND
    assert refusal(lambda: failing.go_on(api_key="two words")) is Refusal.BAD_API_KEY
    failing.run.refresh_from_db()
    assert (failing.run.state, failing.run.continued) == (RunState.FAILED, 0)


def test_a_key_for_a_run_without_one_is_refused(
    pair: Any, user: Any, ask: Any, bell: Any, evaluator: FakeEvaluator
) -> None:
    """It may be the maintainers' endpoint, which is asked with their key and sees more."""
    failing = Failing(user, ask, evaluator, "")
    failing.fail()
    assert refusal(lambda: failing.go_on(api_key="sk-mine")) is Refusal.INVALID_FIELD
    assert failing.go_on().state == RunState.QUEUED


def test_the_page_and_the_api(failing: Failing, client: Client) -> None:
    run = failing.fail(Code.ENDPOINT_UNAUTHORIZED)
    client.force_login(failing.user)
    page = client.get(run.get_absolute_url()).content.decode()
    assert f"/runs/{run.pk}/continue/" in page and "New API key" in page
    told = client.post(f"/runs/{run.pk}/continue/", follow=True).content.decode()
    assert "API key again" in told
    client.post(f"/runs/{run.pk}/continue/", {"api_key": SECRET})
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    failing.fail(Code.ENDPOINT_TIMEOUT)
    bearer = {"Authorization": f"Bearer {issue_token(user=failing.user, name='t')}"}
    address = f"/api/v1/runs/{run.pk}/continue"
    assert Client().post(address, "{}", content_type="application/json").status_code == 401
    answer = client.post(
        address, json.dumps({"api_key": ""}), content_type="application/json", headers=bearer
    )
    assert (answer.status_code, answer.json()["state"], answer.json()["continued"]) == (
        200,
        "queued",
        2,
    )
    again = client.post(address, "{}", content_type="application/json", headers=bearer)
    assert (again.status_code, again.json()["code"]) == (409, "not_now")


def test_a_run_that_waits_for_its_endpoint_says_so(failing: Failing, client: Client) -> None:
    attempt = failing.evaluator.begin(failing.run)
    for report in (attempt.started(), attempt.progress(), attempt.progress(phase="waiting")):
        actions.record_report(envelope=report)
    client.force_login(failing.user)
    assert client.get(f"/api/v1/runs/{failing.run.pk}").json()["phase"] == "waiting"
    assert "Waiting for the endpoint" in client.get(failing.run.get_absolute_url()).content.decode()
    actions.record_report(envelope=attempt.progress())
    assert client.get(f"/api/v1/runs/{failing.run.pk}").json()["phase"] == "asking"


def finished(failing: Failing, **reasons: Any) -> None:
    attempt = failing.evaluator.begin(failing.run)
    for report in (
        attempt.started(),
        *attempt.graded(),
        attempt.finished(reasons=(Reasons(**reasons),)),
    ):
        actions.record_report(envelope=report)


def test_reasons_are_counted_over_a_whole_public_set(failing: Failing, client: Client) -> None:
    row = failing.run.outcomes.get(item_set__sealed=False)
    finished(failing, name=row.item_set.name, n=row.n, counts=(("filtered", 1),))
    failing.run.refresh_from_db()
    assert [counts.reasons for counts in run_counts(failing.run)] == [{"filtered": 1}]
    client.force_login(failing.user)
    assert "content filter" in client.get(failing.run.get_absolute_url()).content.decode()


def test_reasons_of_a_small_sealed_set_are_refused(failing: Failing) -> None:
    """The sealed set of this pair has fewer items than the smallest cell."""
    row = failing.run.outcomes.get(item_set__sealed=True)
    with pytest.raises(EvaluatorError) as caught:
        finished(failing, name=row.item_set.name, n=row.n, counts=(("filtered", 1),))
    assert caught.value.code is Code.BAD_MESSAGE
