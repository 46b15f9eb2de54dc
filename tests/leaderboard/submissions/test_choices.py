"""What a submission may choose: another protocol of the pair's, a provider, a budget."""

import json
from typing import Any

import pytest
from django.test import Client

from evaluator.contract import Budget, Endpoint, JobSpec
from leaderboard.accounts.actions import issue_token
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.models import Outbox, Run, Submission
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_submitting import ENDPOINT, URL

CHAT = "gsm1k-5shot-chat"
FINGERPRINT = "11cdbbc975e4457572f47320cee1796f596ada56cfdcc8a702abab58d1eae392"
MONEY = {"max_tokens": 1000, "max_cost": 0.5, "price_in": 2.0, "price_out": 8.0}


@pytest.fixture
def wide(pair: SetPair) -> SetPair:
    """A pair that allows a second protocol."""
    pair.also = [CHAT]
    pair.save()
    return pair


def spec_of(run: Run) -> JobSpec:
    return JobSpec.from_dict(Outbox.objects.get(run=run).payload)


def finish(run: Run, evaluator: FakeEvaluator) -> None:
    for report in evaluator.begin(run).story():
        record_report(envelope=report)


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    ("chosen", "kept", "asked"),
    [("", "", "demo-0shot"), ("demo-0shot", "", "demo-0shot"), (CHAT, CHAT, CHAT)],
)
def test_the_protocol_is_the_pairs_own_or_one_it_allows(
    make_run: Any, chosen: str, kept: str, asked: str
) -> None:
    run = make_run(protocol=chosen)
    assert (run.submission.protocol, run.submission.asked_by, spec_of(run).protocol) == (
        kept,
        asked,
        asked,
    )


@pytest.mark.parametrize("protocol", [CHAT, "no such", "<b>", "x" * 81])
def test_another_protocol_is_refused(user: Any, pair: Any, ask: Any, protocol: str) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(protocol=protocol))
    assert (refused.value.code, refused.value.detail) == (Refusal.INVALID_FIELD, "protocol")


def test_a_second_protocol_never_mixes_into_the_ranking(
    make_run: Any, wide: SetPair, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    own, apart = make_run(), make_run(protocol=CHAT)
    for run in (own, apart):
        finish(run, evaluator)
    rows = publish(pair=wide).ranking()
    assert [row.run for row in rows] == [str(own.pk)], (
        "the newer run of the same model is another score"
    )
    assert set(Run.objects.filter(state=RunState.RANKED)) == {own, apart}


def test_of_two_runs_by_the_pairs_own_protocol_the_first_ranks(
    make_run: Any, wide: SetPair, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    own, newer = make_run(), make_run()
    for run in (own, newer):
        finish(run, evaluator)
    assert [row.run for row in publish(pair=wide).ranking()] == [str(own.pk)]


def test_a_second_protocol_is_no_evidence_for_a_release(
    make_run: Any, wide: SetPair, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    own, apart = make_run(), make_run(protocol=CHAT)
    for run in (own, apart):
        finish(run, evaluator)
    assert not actions.weigh(wide).evidence.runs, "its cohort is open"
    publish(pair=wide)
    assert [fact.run for fact in actions.weigh(wide).evidence.runs] == [str(own.pk)]


def test_a_model_that_was_only_asked_otherwise_is_not_waiting(
    make_run: Any, wide: SetPair, client: Client, user: Any
) -> None:
    run = make_run(protocol=CHAT)
    assert "Model-1" not in client.get("/b/pair/").content.decode()
    Run.objects.filter(pk=run.pk).update(state=RunState.RANKED, ended_at=run.queued_at)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert "so it has no rank" in page
    assert CHAT in page


def test_a_provider_and_a_budget_reach_the_evaluator(
    make_run: Any, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    run = make_run(**ENDPOINT, **MONEY, provider="anthropic", api_key="sk-1")
    spec = spec_of(run)
    assert isinstance(spec.system, Endpoint)
    assert (spec.system.url, spec.system.provider, spec.system.sealed_keys) == (
        URL,
        "anthropic",
        {},
    )
    assert spec.limits.budget == Budget(tokens=1000, cost=0.5, price_in=2.0, price_out=8.0)
    assert run.submission.sealed_keys


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"provider": "os.environ"}, "provider"),
        ({"provider": "sagemaker"}, "provider"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**13}, "max_tokens"),
        ({"max_cost": 1.0}, "price_in"),
        ({"max_cost": 1.0, "price_in": 1.0}, "price_out"),
        ({"max_cost": float("nan"), "price_in": 1.0, "price_out": 1.0}, "max_cost"),
        ({"max_cost": 1.0, "price_in": float("inf"), "price_out": 1.0}, "price_in"),
        ({"max_cost": 0.0, "price_in": 1.0, "price_out": 1.0}, "max_cost"),
        ({"max_cost": 1.0, "price_in": 1e9, "price_out": 1.0}, "max_cost"),
    ],
)
def test_what_is_wrong_with_them_is_named(
    user: Any, ask: Any, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**ENDPOINT | changes))
    assert (refused.value.code, refused.value.detail) == (Refusal.INVALID_FIELD, field)
    assert not Submission.objects.exists()


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize("changes", [{"provider": "openai"}, {"max_tokens": 5}, {"price_in": 0.0}])
def test_a_checkpoint_has_neither(user: Any, ask: Any, changes: dict[str, Any]) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**changes))
    assert (refused.value.code, refused.value.detail) == (
        Refusal.INVALID_FIELD,
        next(iter(changes)),
    )


def test_a_key_from_before_there_were_choices_still_fits(ask: Any) -> None:
    """The digest of the same request, taken before the fields came."""
    assert ask().fingerprint() == FINGERPRINT
    assert ask(protocol=CHAT).fingerprint() != FINGERPRINT
    assert ask(**ENDPOINT).fingerprint() != ask(**ENDPOINT, provider="openai").fingerprint()


@pytest.mark.usefixtures("wide", "bell")
def test_all_of_it_by_the_form_and_by_the_api(
    client: Client, user: Any, evaluator: FakeEvaluator, settings: Any
) -> None:
    settings.DECLARED_PER_COHORT = 2
    evaluator.register()
    client.force_login(user)
    assert CHAT in client.get("/submit/").content.decode()
    order = {
        "pair": "pair",
        "model": "Model-1",
        **ENDPOINT,
        **MONEY,
        "provider": "mistral",
        "protocol": CHAT,
    }
    assert client.post("/submit/", order | {"key": "k1", "api_key": "sk-1"}).status_code == 302
    token = issue_token(user=user, name="tests")
    answer = client.post(
        "/api/v1/submissions",
        json.dumps(order | {"model": "Model-2"}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}", "Idempotency-Key": "k2"},
    )
    assert answer.status_code == 201, answer.content
    for made in Submission.objects.all():
        assert (made.provider, made.protocol, made.budget) == (
            "mistral",
            CHAT,
            Budget(tokens=1000, cost=0.5, price_in=2.0, price_out=8.0).to_dict(),
        )
