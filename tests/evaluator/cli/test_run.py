"""``run`` as a person starts it: real processes, real endpoints on loopback, real kills."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator import grading
from evaluator.backends import Completion, Sampling
from evaluator.cli import main
from evaluator.errors import Code, error
from tests.evaluator.cli.terminal import (
    FIELDS,
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


def test_a_run_counts_every_item_once(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0.01)
    done = run(command(endpoint.url, items, tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert set(found) == FIELDS
    assert found["n"] == N == found["right"] + found["wrong"]
    assert found["wrong"] > 0
    assert found["not_counted"] == 0
    assert set(stored(tmp_path / "out")) == set(range(N))
    assert set(endpoint.received().values()) == {1}
    assert f"{N}/{N}" in done.stderr
    table = json.loads((tmp_path / "out" / "graders.json").read_bytes())
    assert table["numeric-1"].items() <= found.items()
    assert set(table) == set(grading.alternatives(grading.HEADLINE))
    assert all(f"\n{grader}: n {N}  " in done.stderr for grader in table)


@pytest.mark.slow
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
    safe = len(stored(tmp_path / "out"))
    before, answered = endpoint.received(), sum(endpoint.faults()["answered"].values())
    assert 40 <= safe < N
    done = run(asked)
    assert done.returncode == 0, done.stderr
    undisturbed = run(command(endpoint.url, items, tmp_path / "other"))
    assert counts(last_object(done)) == counts(last_object(undisturbed))
    assert stored(tmp_path / "out") == stored(tmp_path / "other")
    # What the kill cost is what was on its way: eight questions at the most, and no answer but the last of each place.
    # Those that had been handed to the gateway and waited there for a place had not been asked.
    asked_for, on_their_way_back = sum(before.values()) - answered, answered - safe
    assert 0 <= asked_for <= 8
    assert 0 <= on_their_way_back <= 8
    twice = sum(endpoint.received().values()) - 2 * N
    assert twice == asked_for + on_their_way_back


def test_a_finished_run_asks_nothing_again(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
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
    asked = [
        sys.executable,
        "-m",
        "evaluator",
        "run",
        "--set",
        str(items),
        "--protocol",
        "demo-0shot",
        "--json",
    ]
    for model in (endpoint.url, endpoint.url, endpoint.url + "/"):
        done = subprocess.run(
            [*asked, "--model", model],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        assert done.returncode == 0
    assert len(list((tmp_path / "holdfast-runs").iterdir())) == 2
    assert sum(endpoint.received().values()) == 2 * N


def test_the_folder_of_another_run_is_refused(
    items: Path, tmp_path: Path, start_steady: Callable[..., Steady]
) -> None:
    endpoint = start_steady(0)
    run(command(endpoint.url, items, tmp_path / "out"))
    before = stored(tmp_path / "out")
    refused(
        run(command(endpoint.url, items, tmp_path / "out", "--served-model", "other")),
        Code.OUT_OF_ANOTHER_RUN,
    )
    assert stored(tmp_path / "out") == before


def test_the_key_comes_by_standard_input_and_goes_to_the_endpoint_only(
    items: Path, tmp_path: Path, start_stub: Callable[..., Any]
) -> None:
    stub = start_stub("ok")
    done = run(
        command(
            stub.url,
            items,
            tmp_path / "out",
            "--api",
            "chat",
            "--served-model",
            "gpt-x",
            "--key-stdin",
        ),
        input="sk-of-this-test\n",
    )
    assert done.returncode == 0, done.stderr
    assert {request["authorization"] for request in stub.requests()} == {"Bearer sk-of-this-test"}
    assert {request["body"]["model"] for request in stub.requests()} == {"gpt-x"}
    assert {request["path"] for request in stub.requests()} == {"/v1/chat/completions"}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-of-this-test" not in written
    assert "sk-of-this-test" not in done.stdout + done.stderr


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
