"""Submitting a model on the hub, by page and API: resolved once, frozen, shown; looked at for real."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.contract import HubModel, JobSpec
from evaluator.errors import Code
from leaderboard.accounts.actions import issue_token
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions
from leaderboard.submissions import hub as reader
from leaderboard.submissions.models import Model, Outbox, Run, Submission
from tests.leaderboard.conftest import FakeEvaluator
from tests.servers.hub import FaultyServer, add, running

REPO = "demo-org/demo-small"
HUB = {"kind": "hub", "checkpoint": "", "repo": REPO}


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, REPO, read_folder(ROOT / "demo" / "checkpoints" / "small"))
        settings.HUB_ENDPOINT = server.address
        yield server


def spec_of(run: Run) -> JobSpec:
    return JobSpec.from_dict(Outbox.objects.get(run=run).payload)


def test_a_branch_is_resolved_once_and_its_commit_is_what_is_evaluated(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    asked = hub.repositories[REPO].refs["main"]
    run = make_run(**HUB)
    hub.repositories[REPO].commit({"README.md": b"moved"})
    submission = run.submission
    assert (submission.revision, submission.commit) == ("main", asked)
    system = spec_of(run).system
    assert isinstance(system, HubModel)
    assert (system.repo, system.commit) == (REPO, asked)
    assert {file.name for file in system.files} >= {"config.json", "model.safetensors"}
    assert run.tier == "T0"


def test_the_run_shows_and_links_the_commit(
    make_run: Any, hub: FaultyServer, user: Any, client: Client
) -> None:
    run = make_run(**HUB)
    client.force_login(user)
    commit = run.submission.commit
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert f'href="{hub.address}/{REPO}/tree/{commit}"' in page
    assert "to which <code>main</code> led" in page
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    source = client.get(f"/api/v1/runs/{run.pk}", headers=headers).json()["source"]
    assert source == {
        "repo": REPO,
        "revision": "main",
        "commit": commit,
        "page": f"{hub.address}/{REPO}/tree/{commit}",
    }


def test_a_submission_that_is_sent_twice_is_looked_at_once(
    user: Any, pair: SetPair, ask: Any, bell: Any, hub: FaultyServer
) -> None:
    first = actions.submit(user=user, key="k1", ask=ask(**HUB))
    asked = len(hub.log.paths)
    hub.repositories[REPO].commit({"README.md": b"moved"})
    assert actions.submit(user=user, key="k1", ask=ask(**HUB)) == first
    assert len(hub.log.paths) == asked
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**HUB, revision=first.commit))
    assert refused.value.code is Refusal.KEY_REUSED


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"repo": "no/such"}, Code.HUB_NOT_FOUND),
        ({"revision": "v9"}, Code.HUB_REVISION_GONE),
        ({"repo": "one"}, Refusal.INVALID_FIELD),
        ({"repo": "a/../b"}, Refusal.INVALID_FIELD),
        ({"revision": "../x"}, Refusal.INVALID_FIELD),
        ({"checkpoint": "honest"}, Refusal.INVALID_FIELD),
        ({"url": "https://example.org/v1"}, Refusal.INVALID_FIELD),
        ({"api_key": "sk-1"}, Refusal.INVALID_FIELD),
        ({"max_tokens": 3}, Refusal.INVALID_FIELD),
    ],
)
def test_refusals_store_nothing(
    user: Any, ask: Any, hub: FaultyServer, changes: dict[str, Any], code: Any
) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**HUB | changes))
    assert refused.value.code is code
    assert refused.value.status == 422
    assert not Submission.objects.exists() and not Model.objects.exists()


@pytest.mark.parametrize(
    ("fault", "code"), [("500", "hub_unreachable"), ("429", "hub_rate_limited")]
)
@pytest.mark.usefixtures("pair")
def test_a_hub_that_is_away_is_our_fault_and_passes(
    user: Any, hub: FaultyServer, client: Client, fault: str, code: str
) -> None:
    hub.faults["listing"] = fault
    client.force_login(user)
    form = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "hub", "repo": REPO}
    answer = client.post("/submit/", form)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert "The hub" in answer.content.decode()
    token = issue_token(user=user, name="t")
    body = {name: value for name, value in form.items() if name != "key"}
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k2"}
    told = client.post("/api/v1/submissions", body, "application/json", headers=headers)
    assert (told.status_code, told.json()["code"]) == (503, code)
    assert told.headers["Retry-After"]
    assert not Submission.objects.exists()


def test_as_many_looks_as_are_allowed_and_no_more(
    user: Any, pair: SetPair, ask: Any, hub: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(reader, "_at_once", threading.BoundedSemaphore(1))
    assert reader._at_once.acquire(blocking=False)
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**HUB))
    assert (refused.value.code, refused.value.status) == (Refusal.BUSY, 503)
    assert not hub.log.paths


def test_a_hub_that_does_not_answer_ends_with_the_time(
    user: Any, pair: SetPair, ask: Any, hub: FaultyServer, settings: Any
) -> None:
    settings.HUB_SECONDS = 1.5
    hub.faults["listing"] = "hang"
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**HUB))
    assert (refused.value.code, refused.value.status) == (Code.HUB_UNREACHABLE, 503)


def test_the_page_checks_before_anything_is_submitted(
    user: Any, pair: SetPair, bell: Any, hub: FaultyServer, client: Client
) -> None:
    client.force_login(user)
    commit = hub.repositories[REPO].refs["main"]
    form = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "hub", "repo": f"{REPO}@main"}
    answer = client.post("/submit/", form | {"check": "1"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "This model can be evaluated." in page and "433,824" in page
    assert f'value="{commit}"' in page, "what was seen is what will be submitted"
    assert not Submission.objects.exists() and not bell
    answer = client.post("/submit/", form)
    assert answer.status_code == 302
    assert Submission.objects.get().commit == commit


def test_the_api_checks_and_submits(
    user: Any, pair: SetPair, bell: Any, hub: FaultyServer, client: Client
) -> None:
    token = issue_token(user=user, name="t")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": uuid.uuid4().hex}
    order = {"pair": "pair", "repo": REPO}
    told = client.post("/api/v1/preflight", json.dumps(order), "application/json", headers=headers)
    assert told.status_code == 200, told.content
    facts = told.json()
    assert (facts["architecture"], facts["engines"]) == (
        "LlamaForCausalLM",
        ["vLLM", "Transformers"],
    )
    assert facts["refused"] is False
    assert {check["subject"] for check in facts["checks"]} >= {"architecture", "memory", "context"}
    assert not Submission.objects.exists()
    body = order | {"model": "M-1", "kind": "hub", "revision": facts["commit"]}
    made = client.post("/api/v1/submissions", json.dumps(body), "application/json", headers=headers)
    assert made.status_code == 201, made.content
    assert (made.json()["repo"], made.json()["commit"]) == (REPO, facts["commit"])


def changed(config: dict[str, Any]) -> dict[str, bytes]:
    files = read_folder(ROOT / "demo" / "checkpoints" / "small")
    merged = json.loads(files["config.json"]) | config
    return files | {"config.json": json.dumps(merged).encode()}


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, Code.CHECKPOINT_QUANTISED),
        pytest.param(
            {"max_position_embeddings": 16}, Refusal.CONTEXT_TOO_SHORT, marks=pytest.mark.slow
        ),
        pytest.param(
            {"architectures": ["NoSuchForCausalLM"]},
            Code.CHECKPOINT_UNKNOWN_MODEL,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_model_that_no_engine_could_ask_is_not_queued(
    user: Any, ask: Any, hub: FaultyServer, config: dict[str, Any], code: Any
) -> None:
    add(hub, "org/other", changed(config))
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**HUB | {"repo": "org/other"}))
    assert refused.value.code is code
    assert not Submission.objects.exists()
    found = actions.preflight_of(ask(**HUB | {"repo": "org/other"}), user=user)
    refusals = [check for check in found.checks if check.level == "refusal"]
    assert found.refused
    assert [check.code for check in refusals] == [code]
    assert refusals[0].advice


@pytest.mark.usefixtures("pair")
def test_the_answer_of_the_child_is_not_believed(
    user: Any, ask: Any, hub: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for answer in (b"", b"[]", b"{}", b'{"endpoint": "javascript:alert(1)"}', b"\xff"):
        monkeypatch.setattr(reader, "_run", lambda _, answer=answer: answer)
        with pytest.raises(SiteError) as refused:
            actions.submit(user=user, key="k1", ask=ask(**HUB))
        assert refused.value.code in (Code.HUB_FAILED, Code.BAD_MESSAGE)
    assert not Submission.objects.exists()
