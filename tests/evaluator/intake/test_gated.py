"""A gated repository: opened by an access token that travels on standard input and nowhere else."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo.programs import ROOT
from evaluator.contract.hub import HubFacts, HubModel, token_binding
from evaluator.contract.intake import Fetch, Look
from evaluator.errors import Code, EvaluatorError
from evaluator.sealing.seal import seal_secret
from tests.evaluator.installed import NAME, Installed, install
from tests.evaluator.intake.conftest import REPO
from tests.evaluator.worker_process import Worker, ended
from tests.servers.hub import FaultyServer

TOKEN = "hf_canary_of_a_gated_repository"


@pytest.fixture
def gated(hub: FaultyServer) -> FaultyServer:
    hub.token = TOKEN
    hub.repositories[REPO].gated = True
    return hub


def look_with(intake: Callable[..., Any], token: str) -> HubFacts:
    order = Look(repo=REPO, revision="main", most=1 << 40, token=token)
    return HubFacts.from_dict(intake(order))


def code_of(call: Callable[[], object]) -> Code:
    with pytest.raises(EvaluatorError) as refused:
        call()
    assert TOKEN not in str(refused.value)
    return refused.value.code


def test_a_token_opens_it(gated: FaultyServer, intake: Callable[..., Any], tmp_path: Path) -> None:
    assert code_of(lambda: look_with(intake, "")) is Code.HUB_GATED
    assert code_of(lambda: look_with(intake, "hf_other")) is Code.HUB_GATED
    facts = look_with(intake, TOKEN)
    store = str(tmp_path / "store")
    order = Fetch(model=facts.model, store=store, most=1 << 30)
    assert code_of(lambda: intake(order)) is Code.HUB_GATED
    intake(Fetch(model=facts.model, store=store, most=1 << 30, token=TOKEN))
    assert (tmp_path / "store" / "models" / facts.model.id / "model.safetensors").exists()
    stored = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not [path for path in stored if TOKEN.encode() in path.read_bytes()]


def test_an_account_that_was_not_admitted(gated: FaultyServer, intake: Callable[..., Any]) -> None:
    gated.faults["config.json"] = "403"
    assert code_of(lambda: look_with(intake, TOKEN)) is Code.HUB_GATED


def test_a_private_repository(hub: FaultyServer, intake: Callable[..., Any]) -> None:
    hub.token = TOKEN
    hub.repositories[REPO].private = True
    assert code_of(lambda: look_with(intake, "hf_other")) is Code.HUB_NOT_FOUND
    assert look_with(intake, TOKEN).repo == REPO


@pytest.mark.parametrize("token", ["a b", "a\nX-Header: y", "é", "x" * 401])
def test_a_text_that_is_no_token_is_not_sent(
    hub: FaultyServer, intake: Callable[..., Any], token: str
) -> None:
    assert code_of(lambda: look_with(intake, token)) is Code.BAD_MESSAGE
    assert hub.log.paths == []


def test_no_process_shows_it(gated: FaultyServer) -> None:
    gated.faults["listing"] = "hang"
    order = Look(repo=REPO, revision="main", most=1 << 40, token=TOKEN)
    with subprocess.Popen(
        [sys.executable, "-m", "evaluator.intake"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HF_ENDPOINT": gated.address},
    ) as program:
        assert program.stdin
        program.stdin.write(json.dumps(order.to_dict()).encode())
        program.stdin.close()
        while not gated.log.tokens and program.poll() is None:
            time.sleep(0.05)
        shown = [
            Path(f"/proc/{program.pid}/{name}").read_bytes() for name in ("cmdline", "environ")
        ]
        program.kill()
    assert gated.log.tokens[0] == f"Bearer {TOKEN}", "it was in use meanwhile"
    assert not [one for one in shown if TOKEN.encode() in one]


def test_what_is_printed_of_a_request_has_none() -> None:
    model = HubModel.from_dict(
        {
            "kind": "hub",
            "repo": REPO,
            "commit": "a" * 40,
            "files": [{"name": "x", "size": 1, "digest": "a" * 40}],
        }
    )
    orders = (
        Look(repo=REPO, revision="main", most=1, token=TOKEN),
        Fetch(model=model, store="s", most=1, token=TOKEN),
    )
    assert not [one for one in orders if TOKEN in repr(one) or TOKEN in str(one)]


def test_a_folder_in_the_store_has_one_name_for_every_token() -> None:
    facts = {
        "kind": "hub",
        "repo": REPO,
        "commit": "a" * 40,
        "files": [{"name": "x", "size": 1, "digest": "a" * 40}],
    }
    open_one, sealed = (
        HubModel.from_dict(facts | more) for more in ({}, {"sealed_keys": {NAME: "QUJD"}})
    )
    assert open_one.id == sealed.id
    assert "sealed_keys" not in open_one.to_dict(), "an evaluator of before reads it too"


@pytest.fixture
def place(tmp_path: Path, hub: FaultyServer) -> Installed:
    made = install(tmp_path / "e", n=4)
    made.variables.update(HF_ENDPOINT=hub.address)
    return made


@pytest.mark.parametrize("bound_to", [REPO, "demo-org/other"])
def test_a_worker_opens_it_for_this_repository_only(  # noqa: PLR0917
    gated: FaultyServer,
    intake: Callable[..., Any],
    place: Installed,
    own_redis: str,
    start_worker: Callable[..., Worker],
    bound_to: str,
) -> None:
    model = look_with(intake, TOKEN).model
    asked = len(gated.log.paths)
    sealed = seal_secret(place.identity.host_pub, TOKEN, bound_to=token_binding(bound_to))
    # A file whose bytes differ ends the attempt before a model is started.
    gated.faults["model.safetensors"] = "other bytes"
    worker = start_worker(place, own_redis)
    worker.broker.send(place.job(model.to_dict() | {"sealed_keys": {NAME: sealed}}))
    failed = worker.wait(ended, seconds=60)[-1].body
    if bound_to == REPO:
        assert failed.code is Code.HUB_FILE_DIFFERS
        assert set(gated.log.tokens[asked:]) == {f"Bearer {TOKEN}"}
    else:
        assert failed.code is Code.BAD_MESSAGE
        assert len(gated.log.paths) == asked, "the hub is not asked"
    assert TOKEN not in worker.log
    kept = [path for path in place.folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
