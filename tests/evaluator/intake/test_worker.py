"""A job that names a model on the hub, to a real worker: fetched, jailed, asked, graded as a folder is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluator import jail
from evaluator.artefacts import inspect_checkpoint
from evaluator.contract import Declined, Failed, Finished
from evaluator.contract.hub import HubFacts
from evaluator.errors import Code
from tests.evaluator.installed import CANARY, Installed, install, outcomes
from tests.evaluator.worker_process import Worker, ended
from tests.servers.hub import FaultyServer

WEIGHTS = "model.safetensors"


@pytest.fixture
def place(tmp_path: Path, hub: FaultyServer) -> Installed:
    place = install(tmp_path / "e", n=4)
    place.variables.update(HF_ENDPOINT=hub.address)
    return place


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
