"""Submitting an adapter: from the hub or an upload, on a base from either, by page, API and form."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from demo.hub import read_folder
from evaluator.cli import uploads as client_module
from evaluator.contract import AdapterModel, HubModel, JobSpec, UploadModel
from evaluator.contract import uploads as contract
from evaluator.contract.hub import token_binding
from evaluator.errors import Code
from evaluator.sealing.open import open_secret
from leaderboard.accounts.actions import issue_token
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions, dispatch, upload_store
from leaderboard.submissions.api import uploads as api
from leaderboard.submissions.models import Model, Outbox, Run, Submission
from tests.adapters import SMALL, adapter
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.uploading import CHUNK, Author, Folder, author_of, stranger
from tests.servers.hub import FaultyServer, add, running

BASE, ADAPTER = "demo-org/demo-small", "lab/adapter"
HUB = {"kind": "hub", "checkpoint": "", "repo": ADAPTER}
TOKEN = "hf_canary_of_a_gated_base"


@pytest.fixture(autouse=True)
def small_chunks(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contract, upload_store, client_module, api):
        monkeypatch.setattr(module, "CHUNK", CHUNK)
    settings.UPLOADS = tmp_path / "uploads"


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, BASE, read_folder(SMALL))
        add(server, ADAPTER, adapter(base_model_name_or_path=BASE))
        settings.HUB_ENDPOINT = server.address
        yield server


@pytest.fixture
def author(user: Any) -> Author:
    return author_of(user)


def system_of(run: Run) -> AdapterModel:
    system = JobSpec.from_dict(Outbox.objects.get(run=run).payload).system
    assert isinstance(system, AdapterModel)
    return system


def sent(run: Run, bell: Any) -> Any:
    """Return the system that is sent to an evaluator, with its secrets."""
    dispatch.send_job(Outbox.objects.get(run=run), "evaluate.test")
    return bell[-1][1][0]["system"]


def test_both_commits_are_frozen_and_named(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, user: Any, client: Client
) -> None:
    evaluator.register()
    commits = [hub.repositories[repo].refs["main"] for repo in (ADAPTER, BASE)]
    run = make_run(**HUB)
    hub.repositories[BASE].commit({"README.md": b"moved"})
    system = system_of(run)
    assert isinstance(system.adapter, HubModel) and isinstance(system.base, HubModel)
    assert [system.adapter.commit, system.base.commit] == commits
    assert run.submission.hub["adapter"]["base"] is None, "it is stored once"
    client.force_login(user)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    for repo, commit in zip((ADAPTER, BASE), commits, strict=True):
        assert f'href="{hub.address}/{repo}/tree/{commit}"' in page
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    told = client.get(f"/api/v1/runs/{run.pk}", headers=headers).json()
    assert (told["source"]["repo"], told["base"]["repo"]) == (ADAPTER, BASE)
    assert told["base"]["commit"] == commits[1]


def test_form_and_api_check_both_before_anything_is_stored(
    user: Any, pair: Any, hub: FaultyServer, client: Client
) -> None:
    client.force_login(user)
    form = {"key": "k1", "pair": "pair", "model": "M-1", "kind": "hub", "repo": ADAPTER}
    answer = client.post("/submit/", form | {"check": "1"})
    page = answer.content.decode()
    commit = hub.repositories[BASE].refs["main"]
    assert answer.status_code == 200 and "LoRA of rank 4 on 6 matrices" in page
    assert f'value="{BASE}@{commit}"' in page, "what was looked at is what will be submitted"
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    order = {"pair": "pair", "repo": ADAPTER, "base": BASE}
    told = client.post("/api/v1/preflight", json.dumps(order), "application/json", headers=headers)
    assert told.status_code == 200, told.content
    assert told.json()["adapter"] == {
        "rank": 4,
        "modules": 6,
        "base": BASE,
        "base_commit": commit,
        "base_page": f"{hub.address}/{BASE}/tree/{commit}",
    }
    assert not Submission.objects.exists() and not Model.objects.exists()


@pytest.mark.usefixtures("pair")
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"base": "no/such"}, Code.CHECKPOINT_ADAPTER_BASE_GONE),
        ({"base": f"{BASE}@v9"}, Code.CHECKPOINT_ADAPTER_BASE_GONE),
        ({"base": ADAPTER}, Code.CHECKPOINT_ADAPTER_STACKED),
        ({"repo": BASE, "base": BASE}, Code.CHECKPOINT_ADAPTER_NONE),
        ({"base": "../x"}, Refusal.INVALID_FIELD),
        ({"base": f"{BASE}@../x"}, Refusal.INVALID_FIELD),
        ({"base": "00000000-0000-4000-8000-000000000000"}, Refusal.UPLOAD_UNKNOWN),
        ({"kind": "checkpoint", "checkpoint": "honest", "repo": "", "base": BASE},
         Refusal.INVALID_FIELD),
    ],
)  # fmt: skip
def test_refusals_store_nothing(
    user: Any, ask: Any, hub: FaultyServer, changes: dict[str, Any], code: Any
) -> None:
    with pytest.raises(SiteError) as refused:
        actions.submit(user=user, key="k1", ask=ask(**HUB | changes))
    assert (refused.value.code, refused.value.status) == (code, 422)
    assert not Submission.objects.exists() and not Model.objects.exists()


def test_the_official_form_of_a_practised_adapter_names_its_base(
    make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, user: Any, client: Client
) -> None:
    evaluator.register()
    practice_pair(SetPair.objects.get())
    run = make_run(pair="warm-up", **HUB)
    adapter_at, base_at = (hub.repositories[repo].refs["main"] for repo in (ADAPTER, BASE))
    client.force_login(user)
    form = client.get(f"/submit/?run={run.pk}").context["form"]
    assert (form["repo"].value(), form["revision"].value()) == (ADAPTER, adapter_at)
    assert form["base"].value() == f"{BASE}@{base_at}"


def test_an_uploaded_adapter_takes_its_base_from_the_hub(
    author: Author, make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, bell: Any
) -> None:
    evaluator.register()
    upload = author.upload(Folder(adapter(base_model_name_or_path=BASE)))
    run = make_run(kind="upload", checkpoint="", upload=upload)
    system = system_of(run)
    assert isinstance(system.adapter, UploadModel) and isinstance(system.base, HubModel)
    assert (system.adapter.upload, system.base.repo) == (upload, BASE)
    wire = sent(run, bell)
    assert wire["adapter"]["ticket"] and "ticket" not in wire["base"]


def test_an_uploaded_base_is_fetched_by_the_same_ticket_and_stays_while_it_is_needed(
    author: Author, make_run: Any, evaluator: FakeEvaluator, bell: Any, client: Client
) -> None:
    evaluator.register()
    files = read_folder(SMALL)
    folder = Folder({name: files[name] for name in files if name != "README.md"})
    base = author.upload(folder)
    upload = author.upload(Folder(adapter()))
    run = make_run(kind="upload", checkpoint="", upload=upload, base=base)
    wire = sent(run, bell)
    assert (wire["adapter"]["upload"], wire["base"]["upload"]) == (upload, base)
    ticket = {"Authorization": f"Ticket {wire['base']['ticket']}"}
    address = f"/api/v1/uploads/{base}/files/config.json/chunks/0"
    assert Client().get(address, headers=ticket).content == folder.files["config.json"]
    with pytest.raises(SiteError) as refused:
        actions.delete_upload(user=author.user, upload=run.submission.base_upload_id)
    assert refused.value.code is Refusal.UPLOAD_IN_USE
    client.force_login(author.user)
    page = client.get(f"/runs/{run.pk}/").content.decode()
    assert f"upload <code>{base}</code>" in page and f"upload <code>{upload}</code>" in page
    headers = {"Authorization": f"Bearer {author.token}"}
    told = client.get(f"/api/v1/runs/{run.pk}", headers=headers).json()
    assert told["base"] == {"repo": "", "commit": "", "page": "", "upload": base}


def test_uploads_are_no_base_of_another_organisation(
    author: Author, ask: Any, hub: FaultyServer, pair: Any
) -> None:
    files = read_folder(SMALL)
    base = stranger().upload(Folder({name: files[name] for name in files if name != "README.md"}))
    with pytest.raises(SiteError) as refused:
        actions.submit(user=author.user, key="k1", ask=ask(**HUB | {"base": base}))
    assert refused.value.code is Refusal.UPLOAD_UNKNOWN


def test_uploaded_adapters_that_cannot_be_merged(
    author: Author, ask: Any, hub: FaultyServer, pair: Any
) -> None:
    upload = author.upload(Folder(adapter()))
    fields = {"kind": "upload", "checkpoint": "", "upload": upload}
    codes = []
    for more in ({}, {"base": upload}, {"base": "no/such"}, {"hub_token": "hf_x"}):
        with pytest.raises(SiteError) as refused:
            actions.submit(user=author.user, key="k1", ask=ask(**fields | more))
        codes.append(refused.value.code)
    assert codes == [
        Code.CHECKPOINT_ADAPTER_NO_BASE,
        Refusal.INVALID_FIELD,
        Code.CHECKPOINT_ADAPTER_BASE_GONE,
        Refusal.INVALID_FIELD,
    ]
    pickled = Folder(
        {"adapter_config.json": adapter()["adapter_config.json"], "adapter_model.bin": b"\x80"}
    )
    answer = author.ask("POST", "", {"files": pickled.declared()})
    assert (answer.status_code, answer.json()["code"]) == (422, Code.CHECKPOINT_PICKLE)


def test_the_token_of_a_gated_base_is_sealed_to_it(
    author: Author, make_run: Any, hub: FaultyServer, evaluator: FakeEvaluator, bell: Any
) -> None:
    evaluator.register()
    hub.repositories[BASE].gated = True
    hub.token = TOKEN
    upload = author.upload(Folder(adapter()))
    run = make_run(kind="upload", checkpoint="", upload=upload, base=BASE, hub_token=TOKEN)
    wire = sent(run, bell)
    (sealed,) = wire["base"]["sealed_keys"].values()
    opened = open_secret(evaluator.host, sealed, bound_to=token_binding(BASE))
    assert opened == TOKEN and TOKEN not in json.dumps(wire)
    on_hub = make_run(**HUB, model="M-2", hub_token=TOKEN)
    wire = sent(on_hub, bell)
    assert wire["adapter"]["sealed_keys"] and not wire["base"].get("sealed_keys")
