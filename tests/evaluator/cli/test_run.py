"""``run`` as a person starts it: real processes, real endpoints on loopback, real kills and full disks."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.backends import Completion, Sampling
from evaluator.cli import main
from evaluator.errors import EXPLANATIONS, Code, error
from tests.evaluator.installed import rows, write_rows

ROOT = Path(__file__).parents[3]
STEADY = ROOT / "tests" / "servers" / "steady.py"
N = 200
FIELDS = {"n", "right", "wrong", "no_answer", "truncated", "not_counted", "seconds"}


class Steady:
    """An endpoint that answers every question the same way each time, and counts."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self.child = child
        assert child.stdout is not None
        self.url = child.stdout.readline().strip()

    def received(self) -> dict[str, int]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/received", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)
        return found


@pytest.fixture
def items(tmp_path: Path) -> Path:
    write_rows(tmp_path / "set.jsonl", rows(N, "boat"))
    return tmp_path / "set.jsonl"


@pytest.fixture
def start_steady(items: Path) -> Iterator[Callable[..., Steady]]:
    with contextlib.ExitStack() as stack:

        def begin(latency: float) -> Steady:
            command = [sys.executable, str(STEADY), "--gold", str(items), "--latency", str(latency)]
            child = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(child.kill)
            return Steady(child)

        yield begin


def command(model: object, items: Path, out: Path, *more: str) -> list[str]:
    asked = ["--model", str(model), "--set", str(items), "--protocol", "demo-0shot", "--out", str(out), "--json"]
    return [sys.executable, "-m", "evaluator", "run", *asked, *more]


def run(arguments: list[str], **about: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, **about)


def last_object(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def refused(done: "subprocess.CompletedProcess[str]", code: Code) -> dict[str, Any]:
    """Exit code 2, the sentence on standard error, the code in the last object, no traceback."""
    assert done.returncode == 2, done.stderr
    assert f"error: {code}: {EXPLANATIONS[code].sentence}" in done.stderr
    assert "Traceback" not in done.stderr
    found = last_object(done)
    assert (found["error"], found["advice"]) == (code.value, EXPLANATIONS[code].advice)
    return found


def counts(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "seconds"}


def kept(out: Path) -> dict[int, str]:
    """The outcomes in a folder; an index that comes twice is an error."""
    lines = [json.loads(line) for line in (out / "outcomes.jsonl").read_text().splitlines()]
    found = {line["index"]: line["outcome"] for line in lines}
    assert len(found) == len(lines)
    return found


def test_a_run_counts_every_item_once(items: Path, tmp_path: Path, start_steady: Callable[..., Steady]) -> None:
    endpoint = start_steady(0.01)
    done = run(command(endpoint.url, items, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert set(found) == FIELDS
    assert found["n"] == N == found["right"] + found["wrong"]
    assert found["wrong"] > 0
    assert found["not_counted"] == 0
    assert set(kept(tmp_path / "out")) == set(range(N))
    assert set(endpoint.received().values()) == {1}
    assert f"{N}/{N}" in done.stderr


def test_killed_in_the_middle_and_started_again_it_ends_as_if_undisturbed(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0.15)
    asked = command(endpoint.url, items, tmp_path / "out", "--concurrency", "8")
    first = subprocess.Popen(asked, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    outcomes = tmp_path / "out" / "outcomes.jsonl"
    wait_until(lambda: outcomes.exists() and outcomes.read_bytes().count(b"\n") >= 40)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    safe = len(kept(tmp_path / "out"))
    before = endpoint.received()
    assert 40 <= safe < N
    done = run(asked)
    assert done.returncode == 0, done.stderr
    undisturbed = run(command(endpoint.url, items, tmp_path / "other"))
    assert counts(last_object(done)) == counts(last_object(undisturbed))
    assert kept(tmp_path / "out") == kept(tmp_path / "other")
    # What the kill cost: answers of the last second, which were not on disk, and what was in flight.
    twice = sum(endpoint.received().values()) - 2 * N
    assert 0 <= twice <= sum(before.values()) - safe + 8


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_finished_run_asks_nothing_again(items: Path, tmp_path: Path, start_steady: Callable[..., Steady]) -> None:
    endpoint = start_steady(0)
    first = run(command(endpoint.url, items, tmp_path / "out"))
    endpoint.child.kill()
    again = run(command(endpoint.url, items, tmp_path / "out"))
    assert again.returncode == 0
    assert counts(last_object(again)) == counts(last_object(first))


def test_without_out_the_folder_is_found_again_by_what_is_asked(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0)
    asked = [sys.executable, "-m", "evaluator", "run", "--set", str(items), "--protocol", "demo-0shot", "--json"]
    for model in (endpoint.url, endpoint.url, endpoint.url + "/"):
        done = subprocess.run(
            [*asked, "--model", model], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False
        )
        assert done.returncode == 0
    assert len(list((tmp_path / "holdfast-runs").iterdir())) == 2
    assert sum(endpoint.received().values()) == 2 * N


def test_the_folder_of_another_run_is_refused(items: Path, tmp_path: Path, start_steady: Callable[..., Steady]) -> None:
    endpoint = start_steady(0)
    run(command(endpoint.url, items, tmp_path / "out"))
    before = kept(tmp_path / "out")
    refused(run(command(endpoint.url, items, tmp_path / "out", "--served-model", "other")), Code.OUT_OF_ANOTHER_RUN)
    assert kept(tmp_path / "out") == before


def test_the_key_comes_from_the_environment_and_goes_to_the_endpoint_only(
    items: Path, tmp_path: Path, start_stub: Callable[..., Any]
) -> None:
    stub = start_stub("ok")
    done = run(
        command(stub.url, items, tmp_path / "out", "--api", "chat", "--served-model", "gpt-x"),
        env=os.environ | {"HOLDFAST_API_KEY": "sk-of-this-test"},
    )
    assert done.returncode == 0, done.stderr
    assert {request["authorization"] for request in stub.requests()} == {"Bearer sk-of-this-test"}
    assert {request["body"]["model"] for request in stub.requests()} == {"gpt-x"}
    assert {request["path"] for request in stub.requests()} == {"/v1/chat/completions"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-of-this-test" not in written
    assert "sk-of-this-test" not in done.stdout + done.stderr


# --- endpoints that misbehave


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("html", Code.ENDPOINT_BAD_RESPONSE),
        ("empty", Code.ENDPOINT_BAD_RESPONSE),
        ("500", Code.ENDPOINT_ERROR),
        ("never", Code.ENDPOINT_TIMEOUT),
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
    refused(run(command("http://127.0.0.1:9/v1", items, tmp_path / "out")), Code.ENDPOINT_UNREACHABLE)


def test_what_was_graded_is_kept_when_the_endpoint_dies(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0.15)
    asked = command(endpoint.url, items, tmp_path / "out", "--concurrency", "8")
    child = subprocess.Popen(asked, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    outcomes = tmp_path / "out" / "outcomes.jsonl"
    wait_until(lambda: outcomes.exists() and outcomes.read_bytes().count(b"\n") >= 20)
    endpoint.child.kill()
    out, err = child.communicate(timeout=60)
    refused(subprocess.CompletedProcess(asked, child.returncode, out, err), Code.ENDPOINT_UNREACHABLE)
    assert 20 <= len(kept(tmp_path / "out")) < N


# --- sets and protocols


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('{"question": "Why?"}', Code.SET_MISSING_FIELD),
        ('{"question": "", "answer": "#### 1"}', Code.SET_MISSING_FIELD),
        ('{"question": "Which boat is number 3?", "answer": "#### 3"}', Code.SET_DUPLICATE_QUESTION),
        ('{"question": "Why?", "answer": "because"}', Code.SET_GOLD_NOT_NUMERIC),
        ('{"question": ', Code.SET_BAD_JSON),
    ],
)
def test_a_bad_set_names_the_line_and_not_its_text(items: Path, tmp_path: Path, line: str, code: Code) -> None:
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


def test_shots_come_from_the_file_beside_the_set(items: Path, tmp_path: Path, start_stub: Callable[..., Any]) -> None:
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


@pytest.mark.skipif(not jail.available(), reason="bubblewrap does not work here")
def test_a_checkpoint_is_asked_in_the_jail(checkpoint: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "few.jsonl", rows(6, "boat"))
    done = run(command(checkpoint, tmp_path / "few.jsonl", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert found["n"] == 6 == sum(found[name] for name in ("right", "wrong", "no_answer", "truncated"))


# --- a full disk


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB, which takes some of the outcomes but not all."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_what_was_graded_and_a_later_run_goes_on(
    items: Path, tmp_path: Path, tiny_disk: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0.1)
    asked = command(endpoint.url, items, tiny_disk / "out", "--concurrency", "8")
    refused(run(asked), Code.DISK_FULL)
    safe = kept(tiny_disk / "out")
    assert 0 < len(safe) < N
    subprocess.run(["mount", "-o", "remount,size=1m", str(tiny_disk)], check=True)
    done = run(asked)
    assert done.returncode == 0, done.stderr
    found = kept(tiny_disk / "out")
    assert set(found) == set(range(N))
    assert {index: found[index] for index in safe} == safe
    undisturbed = run(command(endpoint.url, items, tmp_path / "other"))
    assert counts(last_object(done)) == counts(last_object(undisturbed))


def test_a_full_disk_that_is_a_limit_on_files(items: Path, tmp_path: Path, start_steady: Callable[..., Steady]) -> None:
    """The same where nobody may mount: no file may grow beyond 8 KiB."""
    endpoint = start_steady(0.1)
    asked = command(endpoint.url, items, tmp_path / "out", "--concurrency", "8")
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", *asked]
    refused(run(limited), Code.DISK_FULL)
    safe = kept(tmp_path / "out")
    assert 0 < len(safe) < N
    done = run(asked)
    assert done.returncode == 0, done.stderr
    assert safe.items() <= kept(tmp_path / "out").items()


def test_a_folder_that_cannot_be_written(items: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(run(command("http://127.0.0.1:9/v1", items, tmp_path / "file" / "out")), Code.OUT_UNWRITABLE)


def test_an_incomplete_run_shows_its_counts_and_why_and_asks_only_the_rest_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    deaf = {"Which boat is number 4?"}

    class Backend:
        async def complete(self, prompt: str, sampling: Sampling) -> Completion:
            question = prompt.removeprefix("Question: ").removesuffix("\nAnswer:")
            asked.append(question)
            if question in deaf:
                raise error(Code.ENDPOINT_TIMEOUT)
            return Completion(" It is 0.", cut=False)

    @contextlib.asynccontextmanager
    async def serve(*_: object, **__: object) -> AsyncIterator[Backend]:
        yield Backend()

    monkeypatch.setattr("evaluator.cli.run.serve_endpoint", serve)
    write_rows(tmp_path / "few.jsonl", rows(9, "boat"))
    arguments = command("http://127.0.0.1:9/v1", tmp_path / "few.jsonl", tmp_path / "out")[3:]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    found = json.loads(out.splitlines()[-1])
    assert set(found) > FIELDS
    assert (found["n"], found["right"], found["wrong"], found["not_counted"]) == (9, 1, 7, 1)
    assert found["error"] == "incomplete"
    assert "error: incomplete" in err
    asked.clear()
    deaf.clear()
    assert main(arguments) == 0
    assert asked == ["Which boat is number 4?"]
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["wrong"] == 8
