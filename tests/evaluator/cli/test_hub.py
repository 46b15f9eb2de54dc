"""``preflight`` at a terminal, against a hub of ours."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from demo.hub import read_folder
from demo.programs import ROOT
from tests.servers.hub import FaultyServer, add, running

REPO = "demo-org/demo-small"


@pytest.fixture
def hub() -> Iterator[FaultyServer]:
    with running() as server:
        add(server, REPO, read_folder(ROOT / "demo" / "checkpoints" / "small"))
        yield server


def command(hub: FaultyServer, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "evaluator", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HF_ENDPOINT": hub.address} | more,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_preflight_prints_the_facts_and_fetches_no_weights(hub: FaultyServer) -> None:
    commit = hub.repositories[REPO].refs["main"]
    done = command(hub, "preflight", f"{REPO}@main")
    assert done.returncode == 0, done.stderr
    assert f"{commit} (main)" in done.stdout
    assert "433,824 parameters, stored as BF16" in done.stdout
    done = command(hub, "preflight", REPO, "--json")
    facts = json.loads(done.stdout)
    assert facts["commit"] == commit
    assert {check["level"] for check in facts["checks"]} == {"ok"}
    assert all(text.startswith("bytes=0-") for text in hub.log.ranges if text)


def test_preflight_judges_a_model_by_a_protocol(hub: FaultyServer) -> None:
    done = command(hub, "preflight", REPO, "--protocol", "gsm1k-5shot")
    assert done.returncode == 2
    assert "refusal  context:" in done.stdout and "longer context" in done.stdout
    done = command(hub, "preflight", REPO, "--protocol", "no-such")
    assert (done.returncode, done.stderr.split(": ")[1]) == (2, "unknown_protocol")


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("no/such", "hub_not_found"),
        ("one", "hub_not_found"),
        (f"{REPO}@v9", "hub_revision_gone"),
        (f"{REPO}@../x", "hub_revision_gone"),
    ],
)
def test_a_model_that_is_not_there(hub: FaultyServer, model: str, code: str) -> None:
    done = command(hub, "preflight", model, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"] == code
    assert done.stderr.startswith(f"error: {code}: ")
