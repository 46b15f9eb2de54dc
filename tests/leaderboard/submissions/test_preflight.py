"""Preflight: workers, place in the queue and the evaluators' lists are known before queueing."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from msgspec import UNSET

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.contract import EndpointPolicy, HostFacts
from evaluator.policy import EndpointId
from leaderboard.accounts.actions import issue_token
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.actions import list_endpoint
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run, Submission
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_expected import took
from tests.leaderboard.submissions.test_status import announce, held
from tests.servers.hub import FaultyServer, add, running

REPO = "demo-org/demo-small"
HUB = {"kind": "hub", "checkpoint": "", "repo": REPO}
HOST = HostFacts(memory=8 << 30, engines=("transformers",))
ENDPOINT = {
    "kind": "endpoint",
    "checkpoint": "",
    "url": "https://api.lab.example/v1",
    "served_model": "m-1",
    "api": "completions",
}
IDENTITY = EndpointId("https://api.lab.example/v1", "m-1", "completions")


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, REPO, read_folder(ROOT / "demo" / "checkpoints" / "small"))
        settings.HUB_ENDPOINT = server.address
        yield server


def code_of(action: Any) -> Any:
    with pytest.raises(SiteError) as refused:
        action()
    return refused.value.code


def level(found: Any, subject: str) -> str:
    return next(check.level for check in found.checks if check.subject == subject)


@pytest.mark.slow
def test_a_model_that_no_worker_holds_is_refused_before_it_is_queued(
    user: Any, pair: SetPair, ask: Any, hub: FaultyServer, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    found = actions.preflight_of(ask(**HUB), user=user)
    assert level(found, "workers") == "warning", "none was ever seen"
    announce(evaluator, host=HOST)
    found = actions.preflight_of(ask(**HUB), user=user)
    assert level(found, "workers") == "ok"
    announce(evaluator, later=1, host=HostFacts(memory=1 << 20, engines=("transformers",)))
    found = actions.preflight_of(ask(**HUB), user=user)
    assert level(found, "workers") == "refusal" and found.refused
    refused = code_of(lambda: actions.submit(user=user, key="k1", ask=ask(**HUB)))
    assert refused is Refusal.NO_WORKER
    assert not Submission.objects.exists()
    announce(evaluator, later=2, host=UNSET)
    found = actions.preflight_of(ask(**HUB), user=user)
    assert level(found, "workers") == "warning", "an older release announces nothing"


@pytest.mark.usefixtures("hub")
def test_the_check_states_place_and_expected_moments(
    run: Run, make_run: Any, evaluator: FakeEvaluator, client: Client, user: Any
) -> None:
    make_run(model="Model-2")
    announce(evaluator, sets=held(run), host=HOST)
    client.force_login(user)
    form = {"key": "k1", "pair": "pair", "model": "M-1", "repo": REPO, "kind": "hub", "check": "1"}
    page = client.post("/submit/", form).content.decode()
    assert "<dt>Place in the queue</dt><dd>3</dd>" in page
    assert "not known: no evaluator is in service, or no run of this pool was measured" in page
    took(run, 600)
    page = client.post("/submit/", form).content.decode()
    assert "<dt>Place in the queue</dt><dd>2</dd>" in page
    assert "judging by the last 1 run of this pool" in page
    assert "1 worker has room for it: 1 with a CPU and 8.0 GiB of memory" in page
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    order = {"pair": "pair", "repo": REPO}
    body = client.post("/api/v1/preflight", order, "application/json", headers=headers).json()
    assert (body["waiting"], body["expected_start"] < body["expected_end"]) == (1, True)


def test_what_the_evaluators_lists_refuse_is_refused_before_it_is_queued(
    user: Any, pair: SetPair, ask: Any, bell: Any, evaluator: FakeEvaluator
) -> None:
    """Their lists are known as digests: neither an address nor a key leaves an evaluator."""
    evaluator.register()

    def submit(key: str, **changes: Any) -> Run:
        asked = ask(**ENDPOINT | changes)
        return actions.submit(user=user, key=key, ask=asked).runs.get()

    announce(evaluator, endpoints=EndpointPolicy())
    assert code_of(lambda: submit("k1")) is Refusal.PUBLIC_ONLY
    assert not Submission.objects.exists() and not bell
    announce(evaluator, later=1, endpoints=EndpointPolicy(season=pair.season + 1))
    assert code_of(lambda: submit("k2")) is Refusal.PUBLIC_ONLY, "another season's block"
    announce(evaluator, later=2, endpoints=EndpointPolicy(listed=(IDENTITY.digest,)))
    assert code_of(lambda: submit("k3", api_key="sk-own")) is Refusal.PUBLIC_ONLY
    list_endpoint(url=IDENTITY.url, model="m-1", api="completions")
    assert submit("k4").tier == "T1"
    announce(evaluator, later=3, endpoints=EndpointPolicy(season=pair.season))
    assert submit("k5", model="Model-2").tier == "T2", "the site lists it, the evaluator does not"
    announce(evaluator, later=4, endpoints=UNSET)
    assert submit("k6", model="Model-3").tier == "T1", "an older release announces no list"


def test_one_evaluator_that_may_show_sealed_items_is_enough(
    user: Any, pair: SetPair, ask: Any, evaluator: FakeEvaluator
) -> None:
    other = FakeEvaluator("other")
    evaluator.register(), other.register()
    announce(evaluator, endpoints=EndpointPolicy())
    announce(other, endpoints=EndpointPolicy(season=pair.season))
    run = actions.submit(user=user, key="k1", ask=ask(**ENDPOINT)).runs.get()
    assert run.tier == "T2"
