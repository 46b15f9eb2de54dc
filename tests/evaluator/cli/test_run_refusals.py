"""``run`` on bad input: endpoints, sets, checkpoints, disks. Each has its code, and nothing graded is lost."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.errors import Code
from tests.evaluator.cli.terminal import (
    ROOT,
    N,
    command,
    counts,
    last_object,
    refused,
    run,
    stored,
    wait_until,
)
from tests.evaluator.endpoints import Steady
from tests.evaluator.installed import rows, write_rows

# --- endpoints that misbehave


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("html", Code.ENDPOINT_BAD_RESPONSE),
        pytest.param("empty", Code.ENDPOINT_BAD_RESPONSE, marks=pytest.mark.slow),
        ("500", Code.ENDPOINT_ERROR),
        pytest.param("never", Code.ENDPOINT_TIMEOUT, marks=pytest.mark.slow),  # four patient waits
        ("401", Code.ENDPOINT_UNAUTHORIZED),
    ],
)
def test_an_endpoint_that_misbehaves(
    mode: str, code: Code, items: Path, tmp_path: Path, start_stub: Callable[..., Any]
) -> None:
    done = run(command(start_stub(mode).url, items, tmp_path / "out", "--timeout", "0.3"))
    refused(done, code)
    assert "SECRET-OF-THE-REMOTE-SIDE" not in done.stdout + done.stderr


def test_an_endpoint_that_is_not_there(items: Path, tmp_path: Path) -> None:
    refused(
        run(command("http://127.0.0.1:9/v1", items, tmp_path / "out")), Code.ENDPOINT_UNREACHABLE
    )


def test_graded_answers_are_stored_when_the_endpoint_dies(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0.15)
    asked = command(endpoint.url, items, tmp_path / "out", "--concurrency", "8", "--patience", "0")
    child = subprocess.Popen(
        asked, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    outcomes = tmp_path / "out" / "outcomes.jsonl"
    wait_until(lambda: outcomes.exists() and outcomes.read_bytes().count(b"\n") >= 20)
    endpoint.child.kill()
    out, err = child.communicate(timeout=60)
    refused(
        subprocess.CompletedProcess(asked, child.returncode, out, err), Code.ENDPOINT_UNREACHABLE
    )
    assert 20 <= len(stored(tmp_path / "out")) < N


# --- sets and protocols


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"question": "Why?"}', Code.SET_MISSING_FIELD),
        ('{"question": "", "answer": "#### 1"}', Code.SET_MISSING_FIELD),
        (
            '{"question": "Which boat is number 3?", "answer": "#### 3"}',
            Code.SET_DUPLICATE_QUESTION,
        ),
        ('{"question": "Why?", "answer": "because"}', Code.SET_GOLD_NOT_NUMERIC),
        ('{"question": ', Code.SET_BAD_JSON),
    ],
)
def test_a_bad_set_names_the_line_and_not_its_text(
    items: Path, tmp_path: Path, line: str, code: Code
) -> None:
    with items.open("a") as file:
        file.write(line + "\n")
    done = run(command("http://127.0.0.1:9/v1", items, tmp_path / "out"))
    assert str(N + 1) in refused(done, code)["detail"]
    assert "boat" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_empty_and_a_missing_set(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    refused(run(command("m", tmp_path / "empty.jsonl", tmp_path / "out")), Code.SET_EMPTY)
    refused(run(command("m", tmp_path / "none.jsonl", tmp_path / "out")), Code.SET_UNREADABLE)


def test_an_unknown_protocol(items: Path, tmp_path: Path) -> None:
    done = run([*command("m", items, tmp_path / "out"), "--protocol", "gsm8k-cot-6shot"])
    refused(done, Code.UNKNOWN_PROTOCOL)


def test_shots_come_from_the_file_beside_the_set(
    items: Path, tmp_path: Path, start_stub: Callable[..., Any]
) -> None:
    stub = start_stub("ok")
    asked = [*command(stub.url, items, tmp_path / "out"), "--protocol", "gsm8k-cot-5shot"]
    refused(run(asked), Code.SET_UNREADABLE)
    write_rows(tmp_path / "train.jsonl", rows(4, "raft"))
    refused(run(asked), Code.SET_TOO_FEW_SHOTS)
    write_rows(tmp_path / "train.jsonl", rows(20, "raft"))
    shutil.rmtree(tmp_path / "out")
    assert run(asked).returncode == 0
    prompts = [request["body"]["prompt"] for request in stub.requests()]
    assert all(prompt.count("raft") == 5 and prompt.count("boat") == 1 for prompt in prompts)
    write_rows(tmp_path / "pool.jsonl", rows(20, "punt"))
    refused(run([*asked, "--shots", str(tmp_path / "pool.jsonl")]), Code.OUT_OF_ANOTHER_RUN)


# --- checkpoints


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def with_pickle(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def truncated(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (without_config, Code.CHECKPOINT_NO_CONFIG),
        (with_pickle, Code.CHECKPOINT_PICKLE),
        (truncated, Code.CHECKPOINT_TRUNCATED),
    ],
)
def test_a_damaged_checkpoint(
    damage: Callable[[Path], None], code: Code, checkpoint: Path, items: Path, tmp_path: Path
) -> None:
    damage(checkpoint)
    refused(run(command(checkpoint, items, tmp_path / "out")), code)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not jail.available(), reason="bubblewrap does not work here")
def test_a_checkpoint_is_asked_in_the_jail(checkpoint: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "few.jsonl", rows(6, "boat"))
    done = run(command(checkpoint, tmp_path / "few.jsonl", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert (
        found["n"] == 6 == sum(found[name] for name in ("right", "wrong", "no_answer", "truncated"))
    )


# --- a full disk


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB, which takes some of the outcomes but not all."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_graded_and_a_later_run_goes_on(
    items: Path, tmp_path: Path, tiny_disk: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0.1)
    asked = command(endpoint.url, items, tiny_disk / "out", "--concurrency", "8")
    refused(run(asked), Code.DISK_FULL)
    safe = stored(tiny_disk / "out")
    assert 0 < len(safe) < N
    subprocess.run(["mount", "-o", "remount,size=1m", str(tiny_disk)], check=True)
    done = run(asked)
    assert done.returncode == 0, done.stderr
    found = stored(tiny_disk / "out")
    assert set(found) == set(range(N))
    assert {index: found[index] for index in safe} == safe
    undisturbed = run(command(endpoint.url, items, tmp_path / "other"))
    assert counts(last_object(done)) == counts(last_object(undisturbed))


@pytest.mark.slow
def test_a_full_disk_that_is_a_limit_on_files(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    """The same without the right to mount: no file may grow beyond 8 KiB."""
    endpoint = start_steady(0.1)
    asked = command(endpoint.url, items, tmp_path / "out", "--concurrency", "8")
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *asked]
    refused(run(limited), Code.DISK_FULL)
    safe = stored(tmp_path / "out")
    assert 0 < len(safe) < N
    done = run(asked)
    assert done.returncode == 0, done.stderr
    assert safe.items() <= stored(tmp_path / "out").items()


def test_a_folder_that_cannot_be_written(items: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(
        run(command("http://127.0.0.1:9/v1", items, tmp_path / "file" / "out")), Code.OUT_UNWRITABLE
    )


@pytest.mark.parametrize("protocol", ["gsm1k-5shot", "gsm1k-0shot-reasoning", "gsm1k-5shot-chat"])
def test_a_protocol_that_does_not_fit_the_api_asks_nothing(
    items: Path, tmp_path: Path, protocol: str
) -> None:
    asked = command(
        "http://127.0.0.1:9/v1",
        items,
        tmp_path / "out",
        "--protocol",
        protocol,
        "--shots",
        str(items),
    )
    refused(run(asked), Code.PROTOCOL_UNFIT)
    assert not (tmp_path / "out").exists()
