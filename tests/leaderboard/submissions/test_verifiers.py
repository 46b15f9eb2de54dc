"""The verifier of a system on the hub, gated or not, or of an upload: read, checked, sent, kept as long as needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from msgspec.structs import replace as changed

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.artefacts.sizes import gpu_need
from evaluator.cli import uploads as client_module
from evaluator.contract import Checkpoint, HostFacts, HubModel, JobSpec, System, UploadModel
from evaluator.contract import uploads as contract
from evaluator.contract.announcements import HostGpu
from evaluator.contract.hub import token_binding
from evaluator.errors import Code
from evaluator.sealing.open import open_secret
from leaderboard.accounts.actions import issue_token
from leaderboard.errors import Refusal, SiteError
from leaderboard.submissions import actions, dispatch, upload_store
from leaderboard.submissions.actions import looks
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.api import uploads as api
from leaderboard.submissions.models import Outbox, Run, Submission, Upload
from tests.adapters import adapter
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_status import announce
from tests.leaderboard.uploading import CHUNK, Author, Folder, author_of, stranger
from tests.servers.hub import FaultyServer, add, running

PROTOCOL = "demo-verify-48"
WRITER, VERIFIER = "demo-org/demo-writer", "demo-org/demo-verifier"
BASE = "demo-org/demo-small"
PARAMETERS = 258_721
TOKEN = "hf_canary_of_a_gated_verifier"
CHECKPOINTS = ROOT / "demo" / "checkpoints"
HUB = {"kind": "hub", "checkpoint": "", "repo": WRITER, "verifier": VERIFIER}
GIB = 1 << 30


@pytest.fixture(autouse=True)
def small_chunks(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (contract, upload_store, client_module, api):
        monkeypatch.setattr(module, "CHUNK", CHUNK)
    settings.UPLOADS = tmp_path / "uploads"


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, WRITER, read_folder(CHECKPOINTS / "writer"))
        add(server, VERIFIER, read_folder(CHECKPOINTS / "verifier"))
        settings.HUB_ENDPOINT = server.address
        yield server


@pytest.fixture
def programs(pair: Any) -> Any:
    """The pair, with a protocol that has a verifier."""
    pair.also = [PROTOCOL]
    pair.save()
    return pair


@pytest.fixture
def author(user: Any) -> Author:
    return author_of(user)


def ask(**fields: Any) -> Ask:
    facts = {"pair": "pair", "model": "pairing", "kind": "checkpoint", "checkpoint": "writer"}
    return Ask(**{**facts, "protocol": PROTOCOL, **fields})  # type: ignore[arg-type]


def submit(user: Any, key: str = "k", **fields: Any) -> Run:
    return actions.submit(user=user, key=key, ask=ask(**fields)).runs.get()


def refusal(user: Any, **fields: Any) -> Any:
    with pytest.raises(SiteError) as refused:
        submit(user, **fields)
    assert not Run.objects.exists()
    return refused.value.code


def folder_of(name: str) -> Folder:
    files = read_folder(CHECKPOINTS / name)
    return Folder({name: files[name] for name in files if name != "README.md"})


def sent(run: Run, bell: Any) -> Any:
    """Return the system that is sent to an evaluator, with its secrets."""
    dispatch.send_job(Outbox.objects.get(run=run), "evaluate.test")
    return JobSpec.from_dict(bell[-1][1][0]).system


# --- uploads


def test_an_uploaded_verifier_is_sent_with_a_ticket_and_kept_until_the_end(
    programs: Any, author: Author, evaluator: FakeEvaluator, bell: Any
) -> None:
    evaluator.register()
    upload = author.upload(folder_of("verifier"))
    run = submit(author.user, verifier=upload)
    assert (run.submission.verifier, str(run.submission.verifier_upload_id)) == (upload, upload)
    system = sent(run, bell)
    assert isinstance(system, System) and system.generator == Checkpoint(name="writer")
    verifier = system.verifier
    assert isinstance(verifier, UploadModel)
    assert (verifier.upload, bool(verifier.ticket)) == (upload, True)
    file = verifier.files[0]
    chunk = {"upload": Upload.objects.get().pk, "name": file.name, "number": 0}
    assert actions.chunk_for(ticket=verifier.ticket, **chunk)
    with pytest.raises(SiteError) as refused:
        actions.delete_upload(user=author.user, upload=Upload.objects.get().pk)
    assert refused.value.code is Refusal.UPLOAD_IN_USE
    actions.cancel(run=run.pk)
    actions.delete_upload(user=author.user, upload=Upload.objects.get().pk)


def test_writer_and_verifier_may_both_be_uploads(
    programs: Any, author: Author, evaluator: FakeEvaluator, bell: Any
) -> None:
    evaluator.register()
    writer, verifier = (author.upload(folder_of(name)) for name in ("writer", "verifier"))
    run = submit(author.user, kind="upload", checkpoint="", upload=writer, verifier=verifier)
    system = sent(run, bell)
    assert (system.generator.upload, system.verifier.upload) == (writer, verifier)
    assert system.generator.ticket == system.verifier.ticket != ""


def test_the_page_of_a_run_names_the_verifier(
    programs: Any, author: Author, hub: FaultyServer, client: Client
) -> None:
    client.force_login(author.user)
    commit = hub.repositories[VERIFIER].refs["main"]
    page = client.get(f"/runs/{submit(author.user, verifier=VERIFIER).pk}/").content.decode()
    assert f'href="{hub.address}/{VERIFIER}/tree/{commit}"' in page
    upload = author.upload(folder_of("verifier"))
    page = client.get(f"/runs/{submit(author.user, 'k2', verifier=upload).pk}/").content.decode()
    assert f"upload <code>{upload}</code>; it chooses" in page
    page = client.get(f"/runs/{submit(author.user, 'k3', verifier='reader').pk}/").content.decode()
    assert "checkpoint <code>reader</code>; it chooses" in page


def test_the_api_of_a_run_has_the_verifier_as_it_has_the_generator(
    programs: Any, author: Author, hub: FaultyServer, client: Client
) -> None:
    client.force_login(author.user)

    def verifier_of(run: Run) -> Any:
        return client.get(f"/api/v1/runs/{run.pk}").json()["verifier"]

    nothing = {"repo": "", "commit": "", "page": "", "upload": "", "artefact": ""}
    commit = hub.repositories[VERIFIER].refs["main"]
    assert verifier_of(submit(author.user, verifier=VERIFIER)) == nothing | {
        "name": f"{VERIFIER}@{commit}",
        "repo": VERIFIER,
        "commit": commit,
        "page": f"{hub.address}/{VERIFIER}/tree/{commit}",
        "parameters": PARAMETERS,
    }
    upload = author.upload(folder_of("verifier"))
    found = verifier_of(submit(author.user, "k2", verifier=upload))
    assert found == nothing | {"name": upload, "upload": upload, "parameters": PARAMETERS}
    found = verifier_of(submit(author.user, "k3", verifier="reader"))
    assert found == nothing | {"name": "reader", "parameters": None}
    assert verifier_of(submit(author.user, "k4", protocol="")) is None


def test_a_language_model_may_verify_and_a_verifier_may_not_write(
    programs: Any, author: Author, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    writer, verifier = (author.upload(folder_of(name)) for name in ("writer", "verifier"))
    asked = {"kind": "upload", "checkpoint": "", "upload": verifier, "verifier": writer}
    assert refusal(author.user, **asked) is Code.CHECKPOINT_BAD_CONFIG
    assert submit(author.user, verifier=writer).submission.verifier == writer


def test_an_upload_that_cannot_verify_is_refused(
    programs: Any, author: Author, hub: FaultyServer
) -> None:
    cut = author.begin(folder_of("verifier"))["id"]
    assert refusal(author.user, verifier=cut) is Refusal.UPLOAD_INCOMPLETE
    adapters = author.upload(Folder(adapter(base_model_name_or_path=WRITER)))
    assert refusal(author.user, verifier=adapters) is Code.CHECKPOINT_NO_CONFIG
    foreign = stranger().upload(folder_of("verifier"))
    assert refusal(author.user, verifier=foreign) is Refusal.UPLOAD_UNKNOWN
    nowhere = "00000000-0000-4000-8000-000000000000"
    assert refusal(author.user, verifier=nowhere) is Refusal.UPLOAD_UNKNOWN


# --- gated repositories


@pytest.mark.parametrize("writer", ["on the hub", "checkpoint"])
def test_one_token_opens_all_parts_and_is_sent_once_sealed(
    *,
    programs: Any,
    user: Any,
    hub: FaultyServer,
    evaluator: FakeEvaluator,
    bell: Any,
    writer: str,
) -> None:
    evaluator.register()
    hub.token = TOKEN
    hub.repositories[VERIFIER].gated = True
    of_writer = HUB if writer == "on the hub" else {"verifier": VERIFIER}
    assert refusal(user, **of_writer) is Code.HUB_GATED
    assert refusal(user, **of_writer, hub_token="two words") is Refusal.BAD_HUB_TOKEN
    run = submit(user, **of_writer, hub_token=TOKEN)
    bound_to = token_binding(WRITER if writer == "on the hub" else VERIFIER)
    sealed = run.submission.sealed_keys[evaluator.name]
    assert open_secret(evaluator.host, sealed, bound_to=bound_to) == TOKEN
    system = sent(run, bell)
    assert isinstance(system.verifier, HubModel)
    parts = (system.generator, system.verifier)
    keyed = [bool(getattr(part, "sealed_keys", {})) for part in parts]
    assert keyed == ([True, False] if writer == "on the hub" else [False, True])
    assert TOKEN not in str(bell)
    actions.cancel(run=run.pk)
    assert Submission.objects.get().sealed_keys == {}


def test_the_token_is_sealed_to_the_base_that_an_uploaded_adapter_names(
    programs: Any, author: Author, hub: FaultyServer, evaluator: FakeEvaluator, bell: Any
) -> None:
    evaluator.register()
    add(hub, BASE, read_folder(CHECKPOINTS / "small"))
    upload = author.upload(Folder(adapter(base_model_name_or_path=BASE)))
    hub.token = TOKEN
    hub.repositories[VERIFIER].gated = True
    of_writer = {"kind": "upload", "checkpoint": "", "upload": upload}
    run = submit(author.user, **of_writer, verifier=VERIFIER, hub_token=TOKEN)
    system = sent(run, bell)
    sealed = system.generator.base.sealed_keys[evaluator.name]
    assert open_secret(evaluator.host, sealed, bound_to=token_binding(BASE)) == TOKEN
    assert not system.verifier.sealed_keys


def test_a_token_opens_nothing_where_no_part_is_on_the_hub(programs: Any, user: Any) -> None:
    assert refusal(user, verifier="reader", hub_token=TOKEN) is Refusal.INVALID_FIELD


# --- the check before a submission


def level(checks: Any, subject: str) -> Any:
    return next(check for check in checks if check.subject == subject)


def test_the_larger_part_decides_which_workers_hold_a_system(
    programs: Any, user: Any, hub: FaultyServer, evaluator: FakeEvaluator
) -> None:
    evaluator.register()
    found = actions.preflight_of(ask(**HUB), user=user)
    needs = [
        gpu_need(facts.weights, facts.cached, facts.context)
        for facts in (found.facts, found.verifier)
        if facts is not None
    ]
    assert found.need == max(needs) and found.verifier_need == needs[1]
    checked = level(found.checks, "verifier")
    assert checked.level == "ok" and "LlamaForTokenClassification" in checked.sentence
    just_enough = HostFacts(
        memory=GIB,
        engines=("transformers",),
        gpus=(HostGpu(name="G", memory=max(needs) + GIB, count=1, bfloat16=True),),
    )
    announce(evaluator, host=just_enough)
    found = actions.preflight_of(ask(**HUB), user=user)
    checked = level(found.checks, "workers")
    assert checked.level == "ok" and "one after the other" in checked.sentence


def test_a_verifier_that_no_worker_holds_is_refused_before_it_is_queued(
    programs: Any,
    user: Any,
    hub: FaultyServer,
    evaluator: FakeEvaluator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evaluator.register()
    announce(evaluator, host=HostFacts(memory=8 * GIB, engines=("transformers",)))
    look = looks.hub.look

    def large(*args: Any, **more: Any) -> Any:
        facts = look(*args, **more)
        if facts.repo != VERIFIER:
            return facts
        return changed(facts, parameters=10**12, weights=10**13)

    monkeypatch.setattr(looks.hub, "look", large)
    found = actions.preflight_of(ask(**HUB), user=user)
    assert level(found.checks, "workers").level == "refusal"
    assert refusal(user, **HUB) is Refusal.NO_WORKER
    assert refusal(user, verifier=VERIFIER) is Refusal.NO_WORKER, "of a checkpoint's too"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"verifier": ""}, "verifier_missing"),
        ({"protocol": ""}, "verifier_unused"),
    ],
)
def test_the_check_refuses_what_a_submission_would(
    programs: Any, user: Any, hub: FaultyServer, fields: dict[str, str], code: str
) -> None:
    found = actions.preflight_of(ask(**{**HUB, **fields}), user=user)
    refused = [check.code for check in found.checks if check.level == "refusal"]
    assert refused == [code]


def test_page_and_api_show_the_verifier_that_will_be_submitted(
    programs: Any, user: Any, hub: FaultyServer, client: Client
) -> None:
    client.force_login(user)
    commit = hub.repositories[VERIFIER].refs["main"]
    form = {"key": "k1", "pair": "pair", "model": "M-1", "protocol": PROTOCOL, **HUB}
    page = client.post("/submit/", form | {"check": "1"}).content.decode()
    assert "LlamaForTokenClassification with" in page and "the larger of the two decides" in page
    assert f'href="{hub.address}/{VERIFIER}/tree/{commit}"' in page
    assert f'value="{VERIFIER}@{commit}"' in page, "what was looked at is what will be submitted"
    headers = {"Authorization": f"Bearer {issue_token(user=user, name='t')}"}
    order = {"pair": "pair", "repo": WRITER, "verifier": VERIFIER, "protocol": PROTOCOL}
    told = client.post("/api/v1/preflight", order, "application/json", headers=headers).json()
    verifier = told["verifier"]
    assert (verifier["repo"], verifier["commit"]) == (VERIFIER, commit)
    assert told["gpu_memory"] >= verifier["gpu_memory"] > 2 * GIB
    assert not Submission.objects.exists()
