"""A hub on loopback with the demo's smallest checkpoint, and the intake program as its parents start it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.artefacts.verdicts import OF_INTAKE, read_verdict
from evaluator.contract.hub import HubFacts, HubModel
from evaluator.contract.intake import Fetch, Look
from tests.servers.hub import FaultyServer, add, running

REPO = "demo-org/demo-small"


@pytest.fixture
def files() -> dict[str, bytes]:
    return read_folder(ROOT / "demo" / "checkpoints" / "small")


@pytest.fixture
def hub(files: dict[str, bytes]) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, REPO, files)
        yield server


@pytest.fixture
def intake(hub: FaultyServer) -> Callable[..., Any]:
    """Sends a request; gives the answer's data, or raises the verdict."""

    def ask(order: Look | Fetch, **environment: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "evaluator.intake"],
            input=json.dumps(order.to_dict()).encode(),
            capture_output=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "HF_ENDPOINT": hub.address} | environment,
            timeout=60,
            check=False,
        )
        if done.returncode:
            verdict = read_verdict(done.stderr, allowed=OF_INTAKE)
            assert verdict is not None, done.stderr.decode()
            raise verdict
        assert done.stderr == b""
        return json.loads(done.stdout)

    return ask


@pytest.fixture
def look(intake: Callable[..., Any]) -> Callable[..., HubFacts]:
    def ask(repo: str = REPO, revision: str = "main", most: int = 1 << 40, **more: str) -> HubFacts:
        order = Look(repo=repo, revision=revision, most=most)
        return HubFacts.from_dict(intake(order, **more))

    return ask


@pytest.fixture
def fetch(intake: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Fetches a model into a store; gives its folder there."""

    def bring(model: HubModel, most: int = 1 << 30, store: Path = tmp_path / "store") -> Path:
        intake(Fetch(model=model, store=str(store), most=most))
        return store / "models" / model.id

    return bring
