"""Fetching with the real client from a hub that fails in every way: nothing half-made stays."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluator.artefacts import inspect_checkpoint
from evaluator.contract.hub import HubFacts, HubFile, HubModel
from evaluator.errors import Code, EvaluatorError, Fault
from tests.evaluator.intake.conftest import REPO
from tests.servers.hub import FaultyServer, add

WEIGHTS = "model.safetensors"


def stored(store: Path) -> dict[str, set[str]]:
    return {
        name: {path.name for path in (store / name).iterdir()}
        for name in ("blobs", "models", "partial")
    }


def refused(fetch: Callable[..., Path], model: HubModel, **options: Any) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as failure:
        fetch(model, **options)
    return failure.value


def test_a_model_is_fetched_whole_and_only_what_is_needed(
    look: Callable[..., HubFacts], fetch: Callable[..., Path], files: dict[str, bytes]
) -> None:
    folder = fetch(look().model)
    assert {path.name for path in folder.iterdir()} == set(files) - {"README.md"}
    assert all((folder / name).read_bytes() == files[name] for name in set(files) - {"README.md"})
    assert not any(path.is_symlink() for path in folder.iterdir())
    assert inspect_checkpoint(folder).architecture == "LlamaForCausalLM"
    assert not stored(folder.parents[1])["partial"]


def test_the_same_weights_are_fetched_once(
    look: Callable[..., HubFacts],
    fetch: Callable[..., Path],
    files: dict[str, bytes],
    hub: FaultyServer,
) -> None:
    first = fetch(look().model)
    add(hub, "other/copy", files | {"generation_config.json": b'{"do_sample": false}'})
    asked = len(hub.log.paths)
    second = fetch(look("other/copy").model)
    large = [path for path in hub.log.paths[asked:] if path.startswith("/stored/")]
    assert len(large) == 1, "the header alone, for the look"
    assert (first / WEIGHTS).samefile(second / WEIGHTS)
    asked = len(hub.log.paths)
    fetch(look().model)
    assert not [path for path in hub.log.paths[asked:] if "tokenizer.json" in path]


def test_s02_a_connection_that_breaks_once_is_taken_up_where_it_broke(
    look: Callable[..., HubFacts], fetch: Callable[..., Path], hub: FaultyServer
) -> None:
    model = look().model
    hub.faults[WEIGHTS] = "cut once"
    hub.log.ranges.clear()
    folder = fetch(model)
    assert [int(text[6:-1]) > 0 for text in hub.log.ranges if text] == [True, True]
    assert inspect_checkpoint(folder)


@pytest.mark.slow
def test_a_broken_fetch_leaves_no_model_and_goes_on_the_next_time(
    look: Callable[..., HubFacts], fetch: Callable[..., Path], hub: FaultyServer, tmp_path: Path
) -> None:
    model = look().model
    hub.faults[WEIGHTS] = "cut"
    failure = refused(fetch, model)
    assert (failure.code, failure.fault, failure.again) == (
        Code.HUB_UNREACHABLE,
        Fault.OURS,
        True,
    )
    left = stored(tmp_path / "store")
    assert not left["models"] and not left["blobs"]
    (partial,) = (tmp_path / "store" / "partial").iterdir()
    hub.faults.clear()
    hub.log.ranges.clear()
    had = partial.stat().st_size
    assert had > 0
    fetch(model)
    assert f"bytes={had}-" in hub.log.ranges
    assert not stored(tmp_path / "store")["partial"]


@pytest.mark.parametrize(
    "wrong",
    [(WEIGHTS, "other bytes"), (WEIGHTS, "long"), ("tokenizer.json", "other bytes")],
)
def test_bytes_that_differ_from_the_listing_are_thrown_away(
    look: Callable[..., HubFacts],
    fetch: Callable[..., Path],
    hub: FaultyServer,
    tmp_path: Path,
    wrong: tuple[str, str],
) -> None:
    model = look().model
    hub.faults.update([wrong])
    assert refused(fetch, model).code is Code.HUB_FILE_DIFFERS
    assert stored(tmp_path / "store") == {"blobs": set(), "models": set(), "partial": set()}
    hub.faults.clear()
    assert inspect_checkpoint(fetch(model))


def test_a_file_that_ends_early_is_no_file(
    look: Callable[..., HubFacts], fetch: Callable[..., Path], hub: FaultyServer, tmp_path: Path
) -> None:
    model = look().model
    hub.faults[WEIGHTS] = "short"
    assert refused(fetch, model).code is Code.HUB_FILE_DIFFERS
    assert stored(tmp_path / "store") == {"blobs": set(), "models": set(), "partial": set()}


@pytest.mark.parametrize(
    ("fault", "code"),
    [("404", Code.HUB_NOT_FOUND), ("500", Code.HUB_UNREACHABLE), ("403", Code.HUB_GATED)],
)
def test_s03_statuses_of_a_file(
    look: Callable[..., HubFacts],
    fetch: Callable[..., Path],
    hub: FaultyServer,
    fault: str,
    code: Code,
) -> None:
    model = look().model
    hub.faults[WEIGHTS] = fault
    assert refused(fetch, model).code is code


def test_s04_a_moved_branch_changes_nothing_and_a_commit_that_is_gone_says_so(
    look: Callable[..., HubFacts],
    fetch: Callable[..., Path],
    hub: FaultyServer,
    files: dict[str, bytes],
) -> None:
    frozen = look().model
    moved = hub.repositories[REPO].commit(files | {"config.json": b"{}"})
    assert hub.repositories[REPO].refs["main"] == moved != frozen.commit
    assert (fetch(frozen) / "config.json").read_bytes() == files["config.json"]
    gone = look(revision=frozen.commit).model
    del hub.repositories[REPO].commits[frozen.commit]
    other = msgspec.structs.replace(gone, files=gone.files[:-1])
    failure = refused(fetch, other)
    assert (failure.code, failure.fault) == (Code.HUB_REVISION_GONE, Fault.THEIRS)


@pytest.mark.slow
def test_room_is_made_by_age_and_never_of_a_model_in_use(
    look: Callable[..., HubFacts],
    fetch: Callable[..., Path],
    hub: FaultyServer,
    files: dict[str, bytes],
) -> None:
    import fcntl

    size = sum(map(len, files.values()))
    models = []
    for number in range(4):
        weights = bytearray(files[WEIGHTS])
        weights[-1] = number
        add(hub, f"org/model-{number}", files | {WEIGHTS: bytes(weights)})
        models.append(look(f"org/model-{number}").model)
    folders = [fetch(model, most=int(2.5 * size)) for model in models[:3]]
    assert [folder.exists() for folder in folders] == [False, True, True]
    in_use = folders[1].parents[1] / "locks" / f"{models[1].id}.use"
    with in_use.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        last = fetch(models[3], most=int(2.5 * size))
        assert [folder.exists() for folder in (*folders, last)] == [False, True, False, True]
    blobs = (last.parents[1] / "blobs").iterdir()
    assert sum(path.stat().st_size for path in blobs) <= 2.5 * size
    assert refused(fetch, models[0], most=size // 2).code is Code.STORE_TOO_SMALL


def test_what_a_killed_fetch_has_left_is_not_taken_for_a_model(
    look: Callable[..., HubFacts], fetch: Callable[..., Path], tmp_path: Path
) -> None:
    model = look().model
    half = tmp_path / "store" / "models" / f"{model.id}.new"
    half.mkdir(parents=True)
    (half / WEIGHTS).write_bytes(b"half")
    folder = fetch(model)
    assert inspect_checkpoint(folder)
    assert not half.exists()


def test_a_job_names_no_path() -> None:
    for name in ("../x", "a/b", "/etc/passwd", ".hidden", "", "a\0b", "a\\b"):
        with pytest.raises(EvaluatorError):
            HubFile.from_dict({"name": name, "size": 1, "digest": "a" * 40})
    for repo in ("one", "a/b/c", "../b", "a/..", "a/b--c", "a/b.git", "-a/b", "a/b-", "a /b"):
        facts = {"kind": "hub", "repo": repo, "commit": "a" * 40, "files": []}
        with pytest.raises(EvaluatorError):
            HubModel.from_dict(facts)


def test_a_redirect_leads_to_no_address_of_the_evaluators_network(
    look: Callable[..., HubFacts], fetch: Callable[..., Path], hub: FaultyServer
) -> None:
    model = look().model
    for place in (
        "http://127.0.0.1:1/x",
        "http://localhost/x",
        "https://169.254.169.254/latest/meta-data",
        "http://example.org/x",
        "https://10.0.0.1/x",
    ):
        hub.faults[WEIGHTS] = place
        failure = refused(fetch, model)
        assert (failure.code, failure.fault) == (Code.HUB_REDIRECTED, Fault.OURS), place


def test_intake_sees_no_secret_and_logs_nothing(hub: FaultyServer) -> None:
    import subprocess
    import sys

    hub.faults["listing"] = "500"
    order = {"do": "look", "repo": REPO, "revision": "main", "most": 1 << 40}
    done = subprocess.run(
        [sys.executable, "-m", "evaluator.intake"],
        input=json.dumps(order).encode(),
        capture_output=True,
        env={
            "PATH": os.environ["PATH"],
            "HF_ENDPOINT": hub.address,
            "HF_TOKEN": "hf_of_this_machine",
            "HTTP_PROXY": "http://127.0.0.1:9",
        },
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr == b"verdict hub_unreachable status 500\n"
    assert set(hub.log.tokens) == {""}, "a token of the machine goes nowhere"
