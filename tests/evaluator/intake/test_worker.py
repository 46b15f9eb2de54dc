"""A job that names a model on the hub, to a real worker: fetched, jailed, asked, graded as a folder is."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator import jail
from evaluator.artefacts import inspect_checkpoint
from evaluator.contract import Declined, Exposed, Failed, Finished
from evaluator.contract.hub import HubFacts, HubModel, token_binding
from evaluator.contract.intake import Look
from evaluator.errors import Code
from evaluator.sealing.seal import seal_secret
from tests.evaluator.installed import CANARY, NAME, Installed, install, outcomes
from tests.evaluator.worker_process import Worker, ended
from tests.servers.hub import FaultyServer, add

WEIGHTS = "model.safetensors"


@pytest.fixture
def place(tmp_path: Path, hub: FaultyServer) -> Installed:
    place = install(tmp_path / "e", n=4)
    place.variables.update(HF_ENDPOINT=hub.address)
    return place


@pytest.mark.slow
@pytest.mark.skipif(not jail.available(), reason="needs bubblewrap")
def test_a_model_of_the_hub_is_evaluated_as_a_folder_is(
    place: Installed,
    own_redis: str,
    start_worker: Callable[..., Worker],
    look: Callable[..., HubFacts],
) -> None:
    model = look().model
    worker = start_worker(place, own_redis)
    worker.broker.send(place.job(model.to_dict()))
    reports = worker.wait(ended, seconds=120)
    finished = reports[-1].body
    assert isinstance(finished, Finished), finished
    assert len(outcomes(reports)) == 8
    folder = place.folder / "home" / "store" / "models" / model.id
    assert finished.artefact == inspect_checkpoint(folder).digest
    stored = [path for path in (place.folder / "home" / "store").rglob("*") if path.is_file()]
    assert not [path for path in stored if CANARY.encode() in path.read_bytes()]
    assert model.repo not in worker.log and CANARY not in worker.log


WRITER, VERIFIER = "demo-org/demo-writer", "demo-org/demo-verifier"
TOKEN = "hf_canary_of_a_gated_verifier"
CHECKPOINTS = ROOT / "demo" / "checkpoints"


def at_commit(intake: Callable[..., Any], repo: str, *, verifier: bool) -> HubModel:
    order = Look(repo=repo, revision="main", most=1 << 40, verifier=verifier)
    return HubFacts.from_dict(intake(order)).model


@pytest.mark.slow
@pytest.mark.skipif(not jail.available(), reason="needs bubblewrap")
@pytest.mark.parametrize(
    ("generator", "gated"),
    [("folder", False), ("folder", True), ("hub", True)],
    ids=["alone on the hub", "alone in a gated repository", "both in gated repositories"],
)
def test_the_verifier_of_a_system_is_fetched_at_its_commit(
    *,
    tmp_path: Path,
    hub: FaultyServer,
    own_redis: str,
    start_worker: Callable[..., Worker],
    intake: Callable[..., Any],
    generator: str,
    gated: bool,
) -> None:
    place = install(tmp_path / "e", n=2)
    place.variables.update(HF_ENDPOINT=hub.address)
    add(hub, VERIFIER, read_folder(CHECKPOINTS / "verifier"))
    verifier = at_commit(intake, VERIFIER, verifier=True)
    hub.repositories[VERIFIER].commit({"config.json": b"moved"})
    verifier_job = verifier.to_dict()
    store = place.folder / "home" / "store" / "models"
    folders = {"generator": place.folder / "checkpoints" / "writer"}
    writer: dict[str, Any] = {"kind": "checkpoint", "name": "writer"}
    if generator == "hub":
        add(hub, WRITER, read_folder(CHECKPOINTS / "writer"))
        fetched = at_commit(intake, WRITER, verifier=False)
        writer, folders["generator"] = fetched.to_dict(), store / fetched.id
        hub.repositories[WRITER].gated = gated
    else:
        shutil.copytree(CHECKPOINTS / "writer", folders["generator"])
    folders["verifier"] = store / verifier.id
    if gated:  # one token opens both; it is with the first that is on the hub
        hub.token, hub.repositories[VERIFIER].gated = TOKEN, True
        holder, repo = (writer, WRITER) if generator == "hub" else (verifier_job, VERIFIER)
        sealed = seal_secret(place.identity.host_pub, TOKEN, bound_to=token_binding(repo))
        holder["sealed_keys"] = {NAME: sealed}
    system = {"kind": "system", "generator": writer, "verifier": verifier_job}
    limits = {"seconds": 400.0, "concurrency": 8}
    worker = start_worker(place, own_redis)
    worker.broker.send(place.job(system, protocol="demo-verify-48", limits=limits))
    reports = worker.wait(ended, seconds=400)
    finished = reports[-1].body
    assert isinstance(finished, Finished), finished
    assert len(outcomes(reports)) == 4
    for part in finished.parts or ():
        inspected = inspect_checkpoint(folders[part.role], verifier=part.role == "verifier")
        assert part.artefact == inspected.digest
        assert part.tokens_in > 0
    [published] = finished.candidates or ()
    assert (published.name, published.samples, published.unscored) == ("open", 48, 0)
    kept = {"folder": ("verifier",), "hub": ("generator", "verifier")}[generator]
    assert set(store.iterdir()) == {folders[role] for role in kept}
    for secret in (VERIFIER, CANARY, TOKEN):
        assert secret not in worker.log


@pytest.mark.slow
def test_a_verifier_that_fails_on_the_hub_fails_the_attempt_before_an_item_is_shown(
    place: Installed,
    own_redis: str,
    start_worker: Callable[..., Worker],
    intake: Callable[..., Any],
    hub: FaultyServer,
) -> None:
    add(hub, VERIFIER, read_folder(CHECKPOINTS / "verifier"))
    verifier = at_commit(intake, VERIFIER, verifier=True)
    shutil.copytree(CHECKPOINTS / "writer", place.folder / "checkpoints" / "writer")
    hub.faults[WEIGHTS] = "other bytes"
    system = {
        "kind": "system",
        "generator": {"kind": "checkpoint", "name": "writer"},
        "verifier": verifier.to_dict(),
    }
    worker = start_worker(place, own_redis)
    worker.broker.send(place.job(system, protocol="demo-verify-48"))
    reports = worker.wait(ended, seconds=60)
    assert reports[-1].body == Failed(code=Code.HUB_FILE_DIFFERS)
    assert not [report for report in reports if isinstance(report.body, Exposed)]
    assert not list((place.folder / "home" / "store" / "models").iterdir())


def test_a_hub_that_fails_fails_the_attempt_by_its_code(
    place: Installed,
    own_redis: str,
    start_worker: Callable[..., Worker],
    look: Callable[..., HubFacts],
    hub: FaultyServer,
) -> None:
    model = look().model
    hub.faults[WEIGHTS] = "other bytes"
    worker = start_worker(place, own_redis)
    worker.broker.send(place.job(model.to_dict()))
    failed = worker.wait(ended, seconds=60)[-1].body
    assert failed == Failed(code=Code.HUB_FILE_DIFFERS)
    assert not list((place.folder / "home" / "store" / "models").iterdir())


def test_a_store_that_is_too_small_is_no_failure_of_the_run(
    place: Installed,
    own_redis: str,
    start_worker: Callable[..., Worker],
    look: Callable[..., HubFacts],
) -> None:
    model = look().model
    place.variables.update(HOLDFAST_STORE_GIB="0.001")
    big = model.files[-1].to_dict() | {"size": 1 << 30}
    job = place.job(model.to_dict() | {"files": [big]})
    worker = start_worker(place, own_redis)
    worker.broker.send(job)
    reports = worker.wait(lambda found: any(isinstance(one.body, Declined) for one in found))
    assert [one.body for one in reports if isinstance(one.body, Declined)] == [
        Declined(code=Code.STORE_TOO_SMALL)
    ]
