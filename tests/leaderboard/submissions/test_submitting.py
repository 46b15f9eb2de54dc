"""Submissions: taken once, judged before anything is looked up, their keys never in the clear."""

import json
from dataclasses import replace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from evaluator.contract import JobSpec
from evaluator.errors import Code
from evaluator.sealing.open import open_secret
from leaderboard.accounts.actions import sign_up
from leaderboard.accounts.models import User
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.models import Grant
from leaderboard.submissions import actions
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Model, Outbox, Run, Submission
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_queueing import together

SECRET = "sk-canary-7f1d2c"
URL = "https://models.example.org/v1"
ENDPOINT = {
    "kind": "endpoint",
    "checkpoint": "",
    "url": URL,
    "served_model": "org/m-1",
    "api": "chat",
}


def refusal(user: Any, ask: Any, key: str = "k1") -> Refusal | Code:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key=key, ask=ask)
    assert (
        Submission.objects.count() == Run.objects.count() == Outbox.objects.count() == 0
        or key == "known"
    )
    return refused.value.code


def test_one_transaction_writes_all_of_a_submission(
    pair: Any, user: Any, ask: Any, bell: Any
) -> None:
    submission = actions.submit(user=user, key="k1", ask=ask(parameters=700_000, open_weights=True))
    run = submission.runs.get()
    assert (submission.model.name, submission.model.organisation.name) == ("Model-1", "Analytical")
    assert (run.state, run.token, run.attempts, run.total, run.done) == ("queued", 1, 1, 16, 0)
    assert [bytes(row.packed) for row in run.outcomes.order_by("pk")] == [bytes(7), bytes(9)]
    assert Grant.objects.get(run=run.pk).recipient == "jail"
    JobSpec.from_dict(Outbox.objects.get(run=run).payload)


def test_the_same_key_is_the_same_submission(pair: Any, user: Any, ask: Any, bell: Any) -> None:
    first = actions.submit(user=user, key="known", ask=ask())
    assert actions.submit(user=user, key="known", ask=ask()) == first
    assert refusal(user, ask(checkpoint="other"), key="known") is Refusal.KEY_REUSED
    other = sign_up(username="bob", password=None, organisation="Other")
    assert actions.submit(user=other, key="known", ask=ask(model="Model-2")) != first
    assert Run.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_are_one_submission(pair: Any, user: Any, ask: Any, bell: Any) -> None:
    request = ask()
    found = together(
        20, lambda: actions.submit(user=User.objects.get(pk=user.pk), key="k1", ask=request).pk
    )
    assert len(set(found)) == 1, found
    assert (Submission.objects.count(), Run.objects.count(), Model.objects.count()) == (1, 1, 1)
    assert (Outbox.objects.count(), Grant.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_organisations_that_name_one_model_at_once(
    pair: Any, user: Any, ask: Any, bell: Any
) -> None:
    other = sign_up(username="bob", password=None, organisation="Other")
    works = [lambda who=who: actions.submit(user=who, key="k1", ask=ask()) for who in (user, other)]
    found = together(2, *works)
    assert sorted(type(one).__name__ for one in found) == ["RequestRejected", "Submission"], found
    assert Model.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pair": "elsewhere"}, Refusal.UNKNOWN_PAIR),
        ({"pair": "a\0b"}, Refusal.INVALID_FIELD),
        ({"model": "a\0b"}, Refusal.INVALID_FIELD),
        ({"model": ""}, Refusal.INVALID_FIELD),
        ({"model": "GPT\u202e4"}, Refusal.INVALID_FIELD),
        ({"model": "Qwen2.5-\u043e"}, Refusal.INVALID_FIELD),
        ({"model": "m\n"}, Refusal.INVALID_FIELD),
        ({"model": "<script>alert(1)</script>"}, Refusal.INVALID_FIELD),
        ({"model": "m" * 81}, Refusal.INVALID_FIELD),
        ({"parameters": 0}, Refusal.INVALID_FIELD),
        ({"parameters": 10**30}, Refusal.INVALID_FIELD),
        ({"checkpoint": "../../etc/passwd"}, Refusal.INVALID_FIELD),
        ({"checkpoint": ""}, Refusal.INVALID_FIELD),
        ({"checkpoint": "a/b"}, Refusal.INVALID_FIELD),
        ({"url": URL}, Refusal.INVALID_FIELD),
        ({"api_key": SECRET}, Refusal.INVALID_FIELD),
        (ENDPOINT | {"checkpoint": "honest"}, Refusal.INVALID_FIELD),
        ({"api": "chat"}, Refusal.INVALID_FIELD),
        (ENDPOINT | {"served_model": ""}, Refusal.INVALID_FIELD),
        (ENDPOINT | {"served_model": "a b"}, Refusal.INVALID_FIELD),
        (ENDPOINT | {"url": "https://h.example/" + "a" * 2000}, Refusal.INVALID_FIELD),
        (ENDPOINT | {"api_key": "a\r\nX: y"}, Refusal.BAD_API_KEY),
        (ENDPOINT | {"api_key": "schlüssel"}, Refusal.BAD_API_KEY),
        (ENDPOINT | {"api_key": "a" * 4001}, Refusal.BAD_API_KEY),
        (ENDPOINT | {"api_key": SECRET}, Refusal.NO_EVALUATOR),
        *(
            (ENDPOINT | {"url": url}, Code.ENDPOINT_REFUSED)
            for url in (
                "http://models.example.org/v1",
                "https://127.0.0.1/v1",
                "https://2130706433/",
                "https://[::1]/v1",
                "https://169.254.169.254/latest",
                "https://user:pw@models.example.org/",
                "https://localhost./v1",
                "file:///etc/passwd",
                "https://models.example.org:6379/",
                "https://models.example.org/v1\n",
                "",
            )
        ),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("pair", "bell")
def test_what_is_not_admitted(user: Any, ask: Any, changes: Any, code: Any) -> None:
    assert refusal(user, ask(**changes)) is code


@pytest.mark.parametrize("key", ["", "a b", "k" * 101, "k\n", "ключ"])
def test_keys_are_plain(pair: Any, user: Any, ask: Any, key: str) -> None:
    assert refusal(user, ask(), key=key) is Refusal.KEY_MISSING


def test_only_members_of_an_organisation_submit(pair: Any, ask: Any) -> None:
    assert refusal(User.objects.create_user("nobody"), ask()) is Refusal.NO_ORGANISATION


def test_a_models_name_belongs_to_its_organisation(
    pair: Any, user: Any, ask: Any, bell: Any
) -> None:
    actions.submit(user=user, key="known", ask=ask())
    other = sign_up(username="bob", password=None, organisation="Other")
    for name in ("Model-1", "MODEL-1"):
        assert refusal(other, ask(model=name), key="known") is Refusal.MODEL_TAKEN
    assert refusal(user, replace(ask(), parameters=5), key="known") is Refusal.KEY_REUSED
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k2", ask=ask(parameters=5))
    assert refused.value.code is Refusal.MODEL_DIFFERS


def everything_stored() -> str:
    """Every row of every table, as PostgreSQL prints it."""
    rows = []
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT t::text FROM "{model._meta.db_table}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


@pytest.mark.usefixtures("pair")
def test_an_api_key_is_stored_and_sent_sealed_only(
    user: Any, ask: Any, bell: Any, evaluator: FakeEvaluator, caplog: Any
) -> None:
    other = FakeEvaluator(name="evaluator-2")
    elsewhere = FakeEvaluator(name="evaluator-3")
    evaluator.register()
    other.register()
    elsewhere.register(pool="elsewhere")
    request = ask(**ENDPOINT, api_key=SECRET)
    run = actions.submit(user=user, key="k1", ask=request).runs.get()
    actions.drain_outbox()
    spec = JobSpec.from_dict(bell[-1][1][0])
    assert spec.system.sealed_keys.keys() == {"evaluator-1", "evaluator-2"}
    for one in (evaluator, other):
        assert open_secret(one.host, spec.system.sealed_keys[one.name], bound_to=URL) == SECRET
    assert "Model-1" in everything_stored(), "the scan finds what is there"
    for text in (everything_stored(), json.dumps(bell, default=str), repr(request), caplog.text):
        assert SECRET not in text
        assert SECRET.encode().hex() not in text
    assert spec.system.sealed_keys["evaluator-1"] not in json.dumps(
        Outbox.objects.get(run=run).payload
    )
    assert Grant.objects.get(run=run.pk).recipient == "models.example.org"


@pytest.mark.parametrize("ending", ["graded", "failed", "cancelled", "deadline"])
@pytest.mark.usefixtures("pair", "bell")
def test_a_sealed_key_is_erased_when_the_run_ends(
    user: Any, ask: Any, evaluator: FakeEvaluator, ending: str
) -> None:
    evaluator.register()
    run = actions.submit(user=user, key="k1", ask=ask(**ENDPOINT, api_key=SECRET)).runs.get()
    sealed = run.submission.sealed_keys["evaluator-1"]
    assert sealed and sealed in everything_stored()
    attempt = evaluator.begin(run)
    if ending == "graded":
        for report in attempt.story():
            record_report(envelope=report)
    elif ending == "failed":
        record_report(envelope=attempt.failed(Code.ENDPOINT_UNAUTHORIZED))
    elif ending == "cancelled":
        actions.cancel(run=run.pk)
    else:
        # A run that no evaluator has begun may be continued, so it keeps its key for the grace time.
        record_report(envelope=attempt.started())
        Run.objects.filter(pk=run.pk).update(deadline="2020-01-01T00:00:00Z")
        actions.reap()
    assert sealed not in everything_stored()


def test_private_endpoints_are_taken_where_the_operator_says_so(
    pair: Any, user: Any, ask: Any, bell: Any, settings: Any
) -> None:
    settings.PRIVATE_ENDPOINTS = True
    run = actions.submit(
        user=user, key="k1", ask=ask(**ENDPOINT | {"url": "http://127.0.0.1:8001/v1"})
    ).runs.get()
    assert Grant.objects.get(run=run.pk).recipient == "127.0.0.1:8001"
    assert (
        refusal(user, ask(**ENDPOINT | {"url": "http://169.254.169.254/v1"}), key="known")
        is Code.ENDPOINT_REFUSED
    )
