"""Probes of an endpoint, and first prompts: by page, API and signed reports."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from evaluator.contract import (
    PROBE_TASK,
    EndpointPolicy,
    HeldSet,
    ListedPrices,
    Outcome,
    Probed,
    ProbedItem,
    ProbeOrder,
    PublicSet,
)
from evaluator.contract.probes import ProbeAnswer
from evaluator.errors import Code, EvaluatorError
from leaderboard.accounts.actions import issue_token
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.estimate import estimate
from leaderboard.submissions.models import Probe, PublicPrompt, Submission
from leaderboard.submissions.states import Disposition
from tests.leaderboard.conftest import FakeAttempt, FakeEvaluator
from tests.leaderboard.submissions.test_status import announce

ENDPOINT = {
    "kind": "endpoint",
    "checkpoint": "",
    "url": "https://api.lab.example/v1",
    "served_model": "m-1",
    "api": "completions",
}
FORM = {"key": "k1", "pair": "pair", "model": "M-1", "check": "1"} | {
    name: value for name, value in ENDPOINT.items() if value
}
HOSTILE = "<script>alert(1)</script> & <img src=x onerror=y>"


def held(pair: SetPair) -> tuple[HeldSet, ...]:
    return tuple(
        HeldSet(name=one.name, sealed=one.sealed, digest=one.digest) for one in pair.sets()
    )


@pytest.fixture
def ready(pair: SetPair, evaluator: FakeEvaluator, bell: Any) -> FakeEvaluator:
    evaluator.register()
    policy = EndpointPolicy(season=pair.season)
    announce(evaluator, sets=held(pair), probes=True, endpoints=policy)
    return evaluator


def orders(bell: Any) -> list[ProbeOrder]:
    return [ProbeOrder.from_dict(args[0]) for name, args, _ in bell if name == PROBE_TASK]


def public_of(pair: SetPair) -> PublicSet:
    return PublicSet(name=pair.public.name, n=pair.public.n, digest=pair.public.digest)


def answered(
    evaluator: FakeEvaluator, pair: SetPair, probe: Any, text: str = "5", **changes: Any
) -> Disposition:
    answer = ProbeAnswer(
        text=text,
        cut=False,
        extracted=text[:200],
        outcome=Outcome.RIGHT,
        seconds=1.25,
        tokens_in=100,
        tokens_out=10,
    )
    items = tuple(
        ProbedItem(index=index, prompt=f"Question {index}", answer=answer) for index in range(3)
    )
    fields: dict[str, Any] = {
        "probe": str(probe),
        "set": public_of(pair),
        "protocol": pair.protocol,
        "items": items,
    }
    attempt = FakeAttempt(evaluator, {"run": "0" * 8 + "-0000-0000-0000-" + "0" * 12, "token": 1})
    return actions.record_report(envelope=attempt.report(Probed(**fields | changes)))


def test_the_page_has_an_evaluator_ask_and_shows_the_answers(
    ready: FakeEvaluator, pair: SetPair, user: Any, client: Client, bell: Any
) -> None:
    client.force_login(user)
    page = client.post("/submit/", FORM | {"price_in": "1", "price_out": "10"}).content.decode()
    probe = Probe.objects.get()
    assert "This endpoint can be submitted." in page and "Place in the queue" in page
    assert f'hx-get="/probes/{probe.pk}/"' in page
    assert '"includeIndicatorStyles": false' in page, "the content policy refuses inline styles"
    assert not Submission.objects.exists()
    (order,) = orders(bell)
    assert (order.probe, order.set, order.items) == (str(probe.pk), public_of(pair), 3)
    assert order.endpoint is not None and order.endpoint.url == ENDPOINT["url"]
    address = f"/probes/{probe.pk}/"
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 204
    assert "is asked 3 public items" in client.get(address).content.decode()
    assert answered(ready, pair, probe.pk, HOSTILE) is Disposition.APPLIED
    for headers in ({}, {"HX-Request": "true"}):
        page = client.get(address, headers=headers).content.decode()
        assert "3 of 3 answers are right" in page and "Question 0" in page
        assert "<script>alert" not in page and "<img src=x" not in page
        assert "&lt;script&gt;alert(1)" in page
        assert "by the prices in the form" in page and "hx-get" not in page


def test_a_key_is_sealed_and_erased_with_the_answer(
    ready: FakeEvaluator, pair: SetPair, user: Any, ask: Any, bell: Any
) -> None:
    checked = actions.preflight_of_endpoint(ask(**ENDPOINT, api_key="sk-own"), user=user)
    assert checked.probe.sealed_keys and "sk-own" not in str(vars(checked.probe))
    (order,) = orders(bell)
    assert order.endpoint is not None and order.endpoint.sealed_keys == checked.probe.sealed_keys
    answered(ready, pair, checked.probe.pk, items=(), code=Code.ENDPOINT_UNAUTHORIZED)
    checked.probe.refresh_from_db()
    assert (checked.probe.sealed_keys, checked.probe.state) == ({}, "failed")
    late = actions.preflight_of_endpoint(ask(**ENDPOINT, api_key="sk-own"), user=user).probe
    Probe.objects.filter(pk=late.pk).update(deadline=timezone.now() - timedelta(seconds=1))
    late.refresh_from_db()
    assert actions.probe_result(late).code == Code.PROBE_UNANSWERED
    assert actions.end_probes() == 1
    late.refresh_from_db()
    assert (late.sealed_keys, late.code) == ({}, Code.PROBE_UNANSWERED)
    assert answered(ready, pair, late.pk, items=()) is Disposition.STALE, "too late"


def test_an_order_never_names_a_sealed_set(
    ready: FakeEvaluator, pair: SetPair, user: Any, ask: Any, bell: Any
) -> None:
    actions.preflight_of_endpoint(ask(**ENDPOINT), user=user)
    actions.request_prompts()
    assert len(orders(bell)) >= 2
    assert {order.set.digest for order in orders(bell)} == {pair.public.digest}
    assert pair.private.digest not in str(bell) and pair.private.name not in str(bell)


def test_an_answer_about_a_sealed_set_is_refused(ready: FakeEvaluator, pair: SetPair) -> None:
    private = PublicSet(name=pair.private.name, n=pair.private.n, digest=pair.private.digest)
    with pytest.raises(EvaluatorError):
        answered(ready, pair, uuid.uuid4(), set=private)
    assert not PublicPrompt.objects.exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        PublicPrompt.objects.create(item_set=pair.private, protocol=pair.protocol, text="x")
    other = PublicSet(name=pair.public.name, n=pair.public.n, digest="0" * 64)
    with pytest.raises(EvaluatorError):
        answered(ready, pair, uuid.uuid4(), set=other)


def test_prompts_are_ordered_once_and_stored(
    ready: FakeEvaluator, pair: SetPair, bell: Any
) -> None:
    assert actions.request_prompts() == 1 + len(pair.also)
    assert actions.request_prompts() == 0, "they are on their way"
    assert all(order.endpoint is None and order.items == 1 for order in orders(bell))
    answered(ready, pair, orders(bell)[0].probe)
    assert PublicPrompt.objects.get().text == "Question 0"


@pytest.mark.usefixtures("ready")
def test_who_may_see_a_probe(user: Any, ask: Any, client: Client, django_user_model: Any) -> None:
    probe = actions.preflight_of_endpoint(ask(**ENDPOINT), user=user).probe
    address = f"/probes/{probe.pk}/"
    assert client.get(address).status_code == 302
    client.force_login(django_user_model.objects.create_user("stranger", password="x"))
    assert client.get(address).status_code == 404


def test_the_api_probes_and_answers(
    ready: FakeEvaluator, pair: SetPair, user: Any, client: Client
) -> None:
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    order = {name: ENDPOINT[name] for name in ("url", "served_model", "api")} | {"pair": "pair"}
    begun = client.post("/api/v1/probes", order, "application/json", headers=headers)
    assert begun.status_code == 201, begun.content
    body = begun.json()
    assert (body["state"], body["refused"], body["waiting"]) == ("waiting", False, 0)
    answered(ready, pair, body["id"], prices=ListedPrices(price_in=1.0, price_out=10.0))
    body = client.get(f"/api/v1/probes/{body['id']}", headers=headers).json()
    assert (body["state"], len(body["items"])) == ("answered", 3)
    assert (body["items"][0]["outcome"], body["items"][0]["answer"]) == ("right", "5")
    cost = body["estimate"]
    assert cost["tokens_in"] == 100 * cost["items"] and cost["prices"] == "list"


def test_refusals_before_anything_is_sent(
    pair: SetPair, user: Any, ask: Any, evaluator: FakeEvaluator, bell: Any
) -> None:
    def code(**changes: Any) -> Any:
        with pytest.raises(SiteError) as refused:
            actions.preflight_of_endpoint(ask(**ENDPOINT | changes), user=user)
        return refused.value.code

    evaluator.register()
    announce(evaluator, sets=held(pair))
    assert code() is Refusal.NO_PROBER, "an older release answers no orders"
    announce(evaluator, later=1, sets=(), probes=True)
    assert code() is Refusal.NO_PROBER, "it lacks the set"
    assert code(url="http://169.254.169.254/v1") is Code.ENDPOINT_REFUSED
    assert code(protocol="nope") is Refusal.INVALID_FIELD
    announce(evaluator, later=2, sets=held(pair), probes=True)
    for _ in range(12):
        actions.preflight_of_endpoint(ask(**ENDPOINT), user=user)
    assert code() is Refusal.TOO_OFTEN
    assert len(orders(bell)) == 12


def test_an_endpoint_for_public_items_only_is_told_before_queueing(
    ready: FakeEvaluator, pair: SetPair, user: Any, client: Client
) -> None:
    announce(ready, later=1, sets=held(pair), probes=True, endpoints=EndpointPolicy())
    client.force_login(user)
    page = client.post("/submit/", FORM).content.decode()
    assert "This endpoint cannot be submitted to this benchmark." in page
    assert "Sealed items are not sent to this endpoint." in page
    assert Probe.objects.exists(), "public items are asked all the same"


ANSWER = ProbeAnswer(text="", cut=False, extracted="", outcome=Outcome.WRONG, seconds=1.0)


def test_what_is_not_known_is_not_estimated() -> None:
    """Missing is a value: no tokens, no price."""
    from msgspec.structs import replace

    counted = replace(ANSWER, tokens_in=30, tokens_out=5)
    listed = ListedPrices(price_in=2.0, price_out=4.0)
    unpriced = estimate([counted] * 3, items=1000, samples=2, own=(None, None), listed=None)
    assert (unpriced.tokens_in, unpriced.tokens_out, unpriced.cost) == (60_000, 10_000, None)
    by_list = estimate([counted], items=1000, samples=1, own=(None, 9.0), listed=listed)
    assert (by_list.cost, by_list.prices) == (0.08, "list")
    own = estimate([counted], items=1000, samples=1, own=(0.0, 1.0), listed=listed)
    assert (own.cost, own.prices) == (0.005, "author")
    partly = estimate([counted, ANSWER], items=1000, samples=1, own=(1.0, 1.0), listed=listed)
    assert (partly.tokens_in, partly.cost) == (None, None)
    assert estimate([], items=9, samples=1, own=(1.0, 1.0), listed=None).cost is None
