"""The public-only run of an endpoint that is shown no sealed item: by form, API and action."""

from typing import Any

import pytest
from django.test import Client

from evaluator.contract import EndpointPolicy
from leaderboard.accounts.actions import issue_token
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.models import QuotaEntry, Run, Submission
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.submissions.test_probes import ENDPOINT, FORM, held
from tests.leaderboard.submissions.test_status import announce

BUTTON = 'name="public_only"'


@pytest.fixture
def public(pair: SetPair, evaluator: FakeEvaluator, bell: Any) -> SetPair:
    """The benchmark, with a practice pair, and evaluators that show endpoints public items only."""
    evaluator.register()
    announce(evaluator, sets=held(pair), probes=True, endpoints=EndpointPolicy())
    practice_pair(pair)
    return pair


def test_the_form_offers_it_after_a_check_and_after_a_refusal(
    public: SetPair, user: Any, client: Client
) -> None:
    client.force_login(user)
    assert BUTTON not in client.get("/submit/").content.decode()
    submitted = {name: value for name, value in FORM.items() if name != "check"}
    for sent, status in ((FORM, 200), (submitted, 422)):
        answer = client.post("/submit/", sent)
        page = answer.content.decode()
        assert answer.status_code == status and BUTTON in page and "practice run on Warm-up" in page
    assert not Submission.objects.exists()
    client.post("/submit/", submitted | {"public_only": "1"})
    run = Run.objects.get()
    assert (run.submission.pair.slug, run.submission.url) == ("warm-up", ENDPOINT["url"])
    assert not any(row.item_set.sealed for row in run.outcomes.select_related("item_set"))
    assert not QuotaEntry.objects.exists(), "it takes no official run"


def test_it_is_not_offered_where_sealed_items_are_shown(
    public: SetPair, evaluator: FakeEvaluator, user: Any, client: Client
) -> None:
    season = EndpointPolicy(season=public.season)
    announce(evaluator, later=1, sets=held(public), probes=True, endpoints=season)
    client.force_login(user)
    assert BUTTON not in client.post("/submit/", FORM).content.decode()


def test_the_api_names_the_pair_and_submits_to_it(
    public: SetPair, user: Any, client: Client
) -> None:
    headers = {
        "Authorization": f"Bearer {issue_token(user=user, name='t')}",
        "Idempotency-Key": "k1",
    }

    def post(path: str, **order: Any) -> Any:
        return client.post(f"/api/v1/{path}", order, "application/json", headers=headers)

    facts = {name: value for name, value in ENDPOINT.items() if name not in ("kind", "checkpoint")}
    begun = post("probes", pair="pair", **facts).json()
    assert (begun["refused"], begun["public_only"]) == (True, "warm-up")
    order = {"pair": "pair", "model": "M-1", "kind": "endpoint", **facts}
    refused = post("submissions", **order).json()
    assert refused["code"] == "public_only" and "public-only run" in refused["advice"]
    assert post("submissions", **order, public_only=True).json()["pair"] == "warm-up"


def test_where_no_practice_pair_asks_the_public_set(pair: SetPair, ask: Any) -> None:
    def code(**changes: Any) -> Any:
        with pytest.raises(SiteError) as refused:
            actions.public_only(ask(**changes))
        return refused.value.code

    assert code() is Refusal.NO_PUBLIC_RUN
    assert code(pair="nowhere") is Refusal.UNKNOWN_PAIR
    practice = practice_pair(pair)
    assert actions.public_only(ask(protocol="elsewhere-1")).protocol == "", "it asks its own way"
    SetPair.with_practice.filter(pk=practice.pk).update(also=["elsewhere-1"])
    assert actions.public_only(ask(protocol="elsewhere-1")).protocol == "elsewhere-1"
    assert actions.public_only(ask(pair="warm-up")).pair == "warm-up"
