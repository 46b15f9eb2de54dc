"""A gated repository is submitted: its access token is sealed on receipt, and erased at the end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.contract import JobSpec
from evaluator.contract.hub import token_binding
from evaluator.errors import Code
from evaluator.sealing.open import open_secret
from leaderboard.accounts.actions import issue_token
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions, dispatch
from leaderboard.submissions.models import Model, Outbox, Run, Submission
from leaderboard.submissions.states import RunState
from tests.leaderboard.conftest import FakeEvaluator
from tests.servers.hub import FaultyServer, add, running

REPO = "demo-org/demo-small"
TOKEN = "hf_canary_of_a_gated_repository"
GATED = {"kind": "hub", "checkpoint": "", "repo": REPO, "hub_token": TOKEN}


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        files = read_folder(ROOT / "demo" / "checkpoints" / "small")
        add(server, REPO, files, gated=True)
        server.token = TOKEN
        settings.HUB_ENDPOINT = server.address
        yield server


def tables_with(text: str) -> list[str]:
    """Every table that has a text in some row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in cursor.fetchall()]
        found = []
        for name in names:
            # The name is the database's own.
            query = f'SELECT count(*) FROM "{name}" AS t WHERE t::text LIKE %s'
            cursor.execute(query, [f"%{text}%"])
            if cursor.fetchone()[0]:
                found.append(name)
    return found


def test_the_token_is_sealed_and_nowhere_in_the_clear(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, postgres_log: Path, caplog: Any
) -> None:
    evaluator.register()
    run = make_run(**GATED)
    submission = run.submission
    assert submission.keyed and set(submission.sealed_keys) == {evaluator.name}
    sealed = submission.sealed_keys[evaluator.name]
    assert open_secret(evaluator.host, sealed, bound_to=token_binding(REPO)) == TOKEN
    assert "sealed_keys" not in Outbox.objects.get(run=run).payload["system"]
    assert tables_with(REPO) and tables_with(TOKEN) == []
    assert TOKEN not in caplog.text and TOKEN.encode() not in postgres_log.read_bytes()


def test_the_job_carries_it_sealed(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator.register()
    run = make_run(**GATED)
    sent: list[Any] = []
    monkeypatch.setattr(dispatch.app, "send_task", lambda *_, args, **__: sent.extend(args))
    dispatch.send_job(Outbox.objects.get(run=run), "q")
    system = JobSpec.from_dict(sent[0]).system
    assert set(system.sealed_keys) == {evaluator.name}  # type: ignore[union-attr]
    assert TOKEN not in json.dumps(sent)


def test_the_token_is_erased_at_the_end(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    run = make_run(**GATED)
    actions.cancel(run=run.pk)
    submission = Submission.objects.get()
    assert submission.sealed_keys == {} and submission.keyed


@pytest.mark.usefixtures("pair", "bell")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"hub_token": ""}, Code.HUB_GATED),
        ({"hub_token": "hf_other"}, Code.HUB_GATED),
        ({"hub_token": "two words"}, Refusal.BAD_HUB_TOKEN),
        ({"kind": "checkpoint", "checkpoint": "honest", "repo": ""}, Refusal.INVALID_FIELD),
        (
            {"kind": "endpoint", "repo": "", "url": "https://x.example/v1", "served_model": "m",
             "api": "chat"},
            Refusal.INVALID_FIELD,
        ),
    ],
)  # fmt: skip
def test_refusals_store_nothing(  # noqa: PLR0917
    user: Any,
    ask: Any,
    hub: FaultyServer,
    evaluator: FakeEvaluator,
    changes: dict[str, Any],
    code: Any,
) -> None:
    evaluator.register()
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**GATED | changes))
    assert refused.value.code is code and refused.value.status == 422
    assert TOKEN not in str(refused.value)
    assert not Submission.objects.exists() and not Model.objects.exists()


@pytest.mark.usefixtures("pair", "bell")
def test_without_an_evaluator_nothing_could_open_it(user: Any, ask: Any, hub: FaultyServer) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**GATED))
    assert refused.value.code is Refusal.NO_EVALUATOR and not Submission.objects.exists()


def test_a_refused_token_is_replaced(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, user: Any
) -> None:
    evaluator.register()
    run = make_run(**GATED)
    Submission.objects.update(sealed_keys={})
    Run.objects.update(
        state=RunState.FAILED, code="hub_gated", fault="theirs", ended_at=timezone.now()
    )

    def refused(**about: str) -> object:
        with pytest.raises(SiteError) as failure:
            actions.continue_run(run=run.pk, by=user, **about)
        return failure.value.code

    assert refused() is Refusal.KEY_NEEDED
    assert refused(api_key="no token") is Refusal.BAD_HUB_TOKEN
    actions.continue_run(run=run.pk, by=user, api_key="hf_new")
    sealed = Submission.objects.get().sealed_keys[evaluator.name]
    assert open_secret(evaluator.host, sealed, bound_to=token_binding(REPO)) == "hf_new"


@pytest.mark.usefixtures("pair", "bell")
def test_the_page_and_the_api(
    user: Any, hub: FaultyServer, evaluator: FakeEvaluator, client: Client
) -> None:
    evaluator.register()
    client.force_login(user)
    form = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "hub", "repo": REPO}
    page = client.post("/submit/", form | {"check": "1"})
    assert page.status_code == 422 and "access token" in page.content.decode()
    page = client.post("/submit/", form | {"check": "1", "hub_token": TOKEN})
    assert page.status_code == 200 and "LlamaForCausalLM" in page.content.decode()
    assert TOKEN not in page.content.decode(), "a password field is not filled in again"
    page = client.post("/submit/", form | {"hub_token": TOKEN})
    assert page.status_code == 302 and Submission.objects.get().keyed
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    about = {"pair": "pair", "repo": REPO, "hub_token": TOKEN}
    found = client.post("/api/v1/preflight", about, "application/json", headers=headers)
    assert found.status_code == 200 and TOKEN not in found.content.decode()
    order = {"model": "M-2", "kind": "hub"} | about
    made = client.post(
        "/api/v1/submissions",
        order,
        "application/json",
        headers=headers | {"Idempotency-Key": "k2"},
    )
    assert made.status_code == 201 and tables_with(TOKEN) == []
