"""``run`` at endpoints that do what was reported in public: no odd body ends a run, and no item is asked twice."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.errors import Code
from tests.evaluator.cli.terminal import (
    ROOT,
    N,
    command,
    last_object,
    refused,
    run,
    stored,
    wait_until,
)
from tests.evaluator.conftest import STUB

Start = Callable[..., Any]
CHAT = ("--api", "chat")


@pytest.mark.parametrize(
    ("odd", "reason"), [("error200", ""), ("filter400", "filtered"), ("forbidden403", "refused")]
)
def test_one_odd_answer_does_not_end_a_run(
    odd: str, reason: str, items: Path, tmp_path: Path, start_odd: Start
) -> None:
    stub = start_odd(odd, "item:20" if reason else "once-item:20")
    done = run(command(stub.url, items, tmp_path / "out", *CHAT))
    assert done.returncode == 0, done.stderr
    found = last_object(done)
    assert (found["right"], found["no_answer"]) == (N - bool(reason), int(bool(reason)))
    assert found.get("reasons", {}) == ({reason: 1} if reason else {})
    assert "SECRET" not in done.stdout + done.stderr


def test_a_key_that_is_refused_for_everything_ends_the_run(
    items: Path, tmp_path: Path, start_odd: Start
) -> None:
    stub = start_odd("forbidden403")
    refused(run(command(stub.url, items, tmp_path / "out", *CHAT)), Code.ENDPOINT_UNAUTHORIZED)
    assert len(stub.requests()) <= 32
    assert stored(tmp_path / "out") == {}


def test_a_parameter_that_is_refused_is_named(
    items: Path, tmp_path: Path, start_odd: Start
) -> None:
    found = refused(
        run(command(start_odd("refuses-temperature").url, items, tmp_path / "out", *CHAT)),
        Code.ENDPOINT_NO_TEMPERATURE,
    )
    assert "gsm1k-0shot-reasoning-api" in found["advice"]


def test_reasoning_models_have_a_protocol(items: Path, tmp_path: Path, start_odd: Start) -> None:
    stub = start_odd("refuses-max_tokens")
    asked = command(stub.url, items, tmp_path / "out", *CHAT)
    asked[asked.index("demo-0shot")] = "gsm1k-0shot-reasoning-api"
    done = run(asked)
    assert done.returncode == 0, done.stderr
    assert last_object(done)["right"] == N
    sent = {name for request in stub.requests() for name in request["body"]}
    assert sent == {"model", "messages", "max_completion_tokens"}


def test_text_behind_a_stop_string_is_not_graded(
    items: Path, tmp_path: Path, start_odd: Start
) -> None:
    done = run(command(start_odd("run_on").url, items, tmp_path / "out", *CHAT))
    assert last_object(done)["right"] == N


def test_answers_in_the_reasoning_field_are_never_a_silent_zero(
    items: Path, tmp_path: Path, start_odd: Start
) -> None:
    done = run(command(start_odd("reasoning_only").url, items, tmp_path / "out", *CHAT))
    refused(done, Code.ENDPOINT_REASONING_ONLY)
    assert stored(tmp_path / "out") == {}


@pytest.mark.slow  # it has to be away for longer than four attempts took
def test_an_endpoint_that_is_restarted_is_waited_for(items: Path, tmp_path: Path) -> None:
    """Before, it ended the run about 4 seconds after its death."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    steady = [
        sys.executable,
        str(STUB.with_name("steady.py")),
        "--gold",
        str(items),
        "--port",
        str(port),
    ]
    steady += ["--latency", "0.1"]
    with contextlib.ExitStack() as stack:

        def begin() -> "subprocess.Popen[str]":
            child = stack.enter_context(subprocess.Popen(steady, stdout=subprocess.PIPE, text=True))
            stack.callback(child.kill)
            assert child.stdout is not None
            child.stdout.readline()
            return child

        first = begin()
        asked = command(
            f"http://127.0.0.1:{port}/v1", items, tmp_path / "out", "--concurrency", "4"
        )
        child = subprocess.Popen(
            asked, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        outcomes = tmp_path / "out" / "outcomes.jsonl"
        wait_until(lambda: outcomes.exists() and outcomes.read_bytes().count(b"\n") >= 20)
        first.kill()
        time.sleep(8)
        assert child.poll() is None
        begin()
        out, err = child.communicate(timeout=90)
    assert child.returncode == 0, err
    assert "waiting for the endpoint" in err
    assert set(stored(tmp_path / "out")) == set(range(N))
    assert json.loads(out.splitlines()[-1])["not_counted"] == 0


def test_every_item_is_asked_once_over_two_starts(
    items: Path, tmp_path: Path, start_odd: Start
) -> None:
    """The share of refused items is not reached, so the second start has nothing to ask."""
    stub = start_odd("filter400", "item:20")
    asked = command(stub.url, items, tmp_path / "out", *CHAT)
    assert run(asked).returncode == run(asked).returncode == 0
    assert set(Counter(request["item"] for request in stub.requests()).values()) == {1}
