"""Starting and ending model servers: what fails, and that nothing is left behind."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.backends import (
    Completion,
    EndpointTarget,
    HttpBackend,
    Sampling,
    engines,
    health,
    serve_checkpoint,
    serve_endpoint,
)
from evaluator.backends.exits import exit_cause
from evaluator.backends.servers import start_gateway
from evaluator.errors import EXPLANATIONS, Code, EvaluatorError, error
from tests.evaluator.processes import alive, cmdline, descendants, wait_for

JAILS = [
    pytest.param(False, marks=pytest.mark.slow),
    pytest.param(
        True,
        marks=pytest.mark.skipif(
            not jail.available(), reason="bubblewrap cannot shut a process in here"
        ),
    ),
]


def ask(
    folder: Path,
    workdir: Path,
    prompt: str = "Question:",
    *,
    jailed: bool = False,
    seconds: float = 120,
) -> Completion:
    """One completion from a server of its own."""

    async def run() -> Completion:
        async with serve_checkpoint(
            folder, jailed=jailed, ready_seconds=seconds, workdir=workdir, threads=1
        ) as backend:
            return await backend.complete(prompt, Sampling(5))

    return asyncio.run(run())


def code_of(folder: Path, workdir: Path, **options: float | bool | str) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        ask(folder, workdir, **options)  # type: ignore[arg-type]
    assert caught.value.__cause__ is None
    return caught.value.code


@pytest.fixture
def broken(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "broken")


def test_a_message_is_set_in_the_checkpoints_own_template(broken: Path, tmp_path: Path) -> None:
    (broken / "chat_template.jinja").write_text(
        "<<{% for one in messages %}{{ one.content }}{% endfor %}>>"
    )

    async def run() -> tuple[str, str, str]:
        about = {"jailed": False, "ready_seconds": 120, "workdir": tmp_path / "w", "threads": 1}
        async with (
            serve_checkpoint(broken, api="chat", **about) as chat,  # type: ignore[arg-type]
            HttpBackend(chat.socket, model="model") as plain,
        ):
            drawn = Sampling(20, temperature=0.7, seed=5)
            said = await chat.complete("How many?", drawn)
            rendered = await plain.complete("<<How many?>>", drawn)
            bare = await plain.complete("How many?", drawn)
            assert chat.served.engine.startswith("transformers ")
            assert (chat.served.dtype, bool(chat.served.hardware)) == ("float32", True)
            return said.text, rendered.text, bare.text

    said, rendered, bare = asyncio.run(run())
    assert said == rendered != bare


@pytest.mark.parametrize("jailed", JAILS)
def test_weights_that_do_not_load(broken: Path, tmp_path: Path, jailed: bool) -> None:
    (broken / "model.safetensors").write_bytes(b"nonsense")
    assert code_of(broken, tmp_path / "w", jailed=jailed) is Code.HOST_FAILED


def test_a_pickle_is_not_loaded(broken: Path, tmp_path: Path) -> None:
    import torch

    (broken / "model.safetensors").unlink()
    torch.save({"x": torch.zeros(1)}, broken / "pytorch_model.bin")
    assert code_of(broken, tmp_path / "w") is Code.HOST_FAILED


def test_code_of_the_checkpoint_is_not_run(broken: Path, tmp_path: Path) -> None:
    proof = tmp_path / "it-ran"
    (broken / "evil.py").write_text(
        f"open({str(proof)!r}, 'w')\nfrom transformers import LlamaConfig as C, LlamaForCausalLM as M\n"
    )
    config = json.loads((broken / "config.json").read_text())
    config |= {
        "model_type": "unheard-of",
        "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"},
    }
    (broken / "config.json").write_text(json.dumps(config))
    assert code_of(broken, tmp_path / "w") is Code.HOST_FAILED
    assert not proof.exists()


def test_not_ready_in_time(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert code_of(tiny_checkpoint, tmp_path, seconds=0.05) is Code.HOST_TIMEOUT
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_longer_than_the_context(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert code_of(tiny_checkpoint, tmp_path, prompt="many words " * 100) is Code.PROMPT_TOO_LONG


def test_a_jail_that_is_asked_for_and_missing(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jail, "_works", lambda *, privileged: False)
    assert code_of(tiny_checkpoint, tmp_path, jailed=True) is Code.JAIL_MISSING


@pytest.mark.slow
def test_a_working_folder_with_a_long_name(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert ask(tiny_checkpoint, tmp_path / ("long-" * 30)).cut


def model_servers() -> list[int]:
    return [pid for pid, _ in descendants(os.getpid()) if "hosts.transformers" in cmdline(pid)]


def serving(checkpoint: Path, workdir: Path, *, jailed: bool = False) -> Any:
    return serve_checkpoint(
        checkpoint, jailed=jailed, ready_seconds=120, workdir=workdir, threads=1
    )


@pytest.mark.slow
@pytest.mark.parametrize("jailed", JAILS)
def test_a_server_that_is_killed_while_answering(
    tiny_checkpoint: Path, tmp_path: Path, jailed: bool
) -> None:
    async def run() -> None:
        async with serving(tiny_checkpoint, tmp_path, jailed=jailed) as backend:
            for pid in model_servers():
                os.kill(pid, signal.SIGKILL)
            await backend.complete("Question:", Sampling(5))

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert caught.value.code is Code.HOST_DIED
    assert EXPLANATIONS[Code.HOST_DIED].retried


def test_a_server_that_is_killed_while_loading(tiny_checkpoint: Path, tmp_path: Path) -> None:
    async def kill_soon() -> None:
        while not model_servers():
            await asyncio.sleep(0.01)
        for pid in model_servers():
            os.kill(pid, signal.SIGKILL)

    async def run() -> None:
        killing = asyncio.create_task(kill_soon())
        async with serving(tiny_checkpoint, tmp_path):
            pass
        await killing

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert caught.value.code is Code.HOST_DIED


@pytest.mark.slow
def test_a_server_that_stops_responding_is_found(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(health, "LIMIT_SECONDS", 1.0)

    async def run() -> None:
        async with serving(tiny_checkpoint, tmp_path) as backend:
            for pid in model_servers():
                os.kill(pid, signal.SIGSTOP)
            await backend.complete("Question:", Sampling(5))

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(asyncio.wait_for(run(), 30))
    assert caught.value.code is Code.HOST_HUNG
    assert not model_servers()


def test_e01_a_watch_finds_a_hang_within_a_minute() -> None:
    assert health.PROBE_SECONDS + health.LIMIT_SECONDS < 60


def test_a_server_that_is_slow_but_well_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_SECONDS", 0.01)
    monkeypatch.setattr(health, "LIMIT_SECONDS", 0.2)

    class Slow:
        probes = 0

        async def ready(self) -> None:
            self.probes += 1
            if self.probes % 2:
                raise error(Code.ENDPOINT_UNREACHABLE)

    async def run() -> int:
        slow = Slow()
        async with health.watched(slow):
            await asyncio.sleep(0.5)
        return slow.probes

    assert asyncio.run(run()) > 5


@pytest.mark.slow
def test_too_few_descriptors_are_ours(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """As with ``ulimit -n``: the parent can start nothing, or the child cannot load; never the checkpoint's fault."""
    script = (
        "import asyncio, resource, sys\nfrom pathlib import Path\n"
        "from evaluator.backends import Sampling, serve_checkpoint\nfrom evaluator.errors import EvaluatorError\n"
        "async def run():\n"
        "    about = dict(jailed=False, ready_seconds=60, workdir=Path(sys.argv[2]), threads=1)\n"
        "    async with serve_checkpoint(Path(sys.argv[1]), **about) as backend:\n"
        "        await backend.complete('x', Sampling(2))\n"
        "limit = int(sys.argv[3])\nresource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
        "try:\n    asyncio.run(run())\n"
        "except EvaluatorError as failure:\n    print(failure.code, failure.fault, flush=True)\n"
        "else:\n    print('served')\n"
    )
    for limit in ("12", "16", "24"):
        command = [sys.executable, "-c", script, str(tiny_checkpoint), str(tmp_path), limit]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.stdout.strip() == "served" or done.stdout.strip().endswith(" ours"), (
            limit,
            done,
        )


def test_a_working_folder_that_cannot_be_made_is_ours(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    assert code_of(tiny_checkpoint, tmp_path / "file" / "w") is Code.OUT_UNWRITABLE
    assert EXPLANATIONS[Code.OUT_UNWRITABLE].retried


def test_a_missing_litellm_is_named_with_its_requirements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask_litellm() -> None:
        target = EndpointTarget(url="", model="openai/m", api="chat", adapter="litellm")
        async with serve_endpoint(
            target, key="", allow_private=True, ready_seconds=5, workdir=tmp_path
        ):
            pass

    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(EvaluatorError, match=r"litellm: .*requirements/hosts\.txt") as caught:
        asyncio.run(ask_litellm())
    assert caught.value.code is Code.ENGINE_MISSING


def test_a_missing_package_is_named_with_its_requirements(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(EvaluatorError) as caught:
        ask(tiny_checkpoint, tmp_path)
    assert caught.value.code is Code.ENGINE_MISSING
    assert "requirements/hosts.txt" in str(caught.value)
    assert (Path(__file__).parents[3] / "requirements/hosts.txt").is_file()


def test_n06_a_gateway_that_is_killed_is_ours_and_nothing_goes_past_it(
    tmp_path: Path, start_stub: Callable[[str], Any]
) -> None:
    stub = start_stub("ok")
    target = EndpointTarget(stub.url, "m")

    async def run() -> None:
        with start_gateway(tmp_path) as gateway:
            about = {
                "key": "",
                "allow_private": True,
                "ready_seconds": 20,
                "workdir": tmp_path,
                "gateway": gateway,
            }
            async with serve_endpoint(target, **about) as backend:  # type: ignore[arg-type]
                await backend.complete("Question:", Sampling(5))
                gateway.process.kill()
                await backend.complete("Question:", Sampling(5))

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert caught.value.code is Code.HOST_DIED
    assert len(stub.requests()) == 1


@pytest.mark.parametrize(
    ("words", "status", "ready", "code"),
    [
        (b"", -9, False, Code.HOST_DIED),
        (b"", 137, False, Code.HOST_DIED),
        (b"", -11, True, Code.HOST_DIED),
        (b"Traceback", 1, False, Code.HOST_FAILED),
        (b"Traceback", 1, True, Code.HOST_DIED),
        (b"", None, True, Code.HOST_FAILED),
        (b"OSError: [Errno 24] Too many open files", 1, False, Code.HOST_RESOURCES),
        (b"RuntimeError: can't start new thread", 1, False, Code.HOST_RESOURCES),
        (b"OSError: [Errno 28] No space left on device", 1, False, Code.DISK_FULL),
        (b"ModuleNotFoundError: No module named 'transformers'", 1, False, Code.ENGINE_MISSING),
    ],
)
def test_the_ending_of_a_server(words: bytes, status: int | None, ready: bool, code: Code) -> None:
    assert exit_cause(words, status=status, ready=ready) is code


@pytest.mark.parametrize("jailed", JAILS)
def test_a_killed_parent_leaves_no_child(
    tiny_checkpoint: Path, tmp_path: Path, jailed: bool
) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from evaluator.backends import EndpointTarget, serve_checkpoint, serve_endpoint\n"
        "async def main():\n"
        "    options = dict(ready_seconds=120, workdir=Path(sys.argv[2]))\n"
        "    endpoint = EndpointTarget('http://127.0.0.1:1/v1', 'm')\n"
        f"    async with serve_checkpoint(Path(sys.argv[1]), jailed={jailed}, **options):\n"
        "        async with serve_endpoint(endpoint, key='', allow_private=True, **options):\n"
        "            print('up', flush=True)\n"
        "            await asyncio.sleep(300)\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", script, str(tiny_checkpoint), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "up\n"
        family = [pid for pid, _ in descendants(parent.pid)]
        lines = " ".join(map(cmdline, family))
        parent.kill()
    assert "hosts.transformers" in lines
    assert "hosts.gateway" in lines
    wait_for(lambda: not any(map(alive, family)))


@contextmanager
def raw_server(folder: Path, answer: bytes) -> Iterator[Path]:
    """A model server that sends these bytes whatever it is asked, once."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        code = (
            "import socket, sys\n"
            "answer = sys.stdin.buffer.read()\n"
            f"connection, _ = socket.socket(fileno={listener.fileno()}).accept()\n"
            "connection.recv(65536)\n"
            "try: connection.sendall(answer)\n"
            "except OSError: pass\n"
            "connection.close()"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, pass_fds=(listener.fileno(),)
        )
    with child:
        assert child.stdin is not None
        child.stdin.write(answer)
        child.stdin.close()
        try:
            yield path
        finally:
            child.kill()


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(b"", Code.HOST_FAILED, id="nothing"),
        pytest.param(b"\0\xff not http", Code.HOST_FAILED, id="not-http"),
        pytest.param(http(b""), Code.HOST_FAILED, id="empty"),
        pytest.param(http(b"<html>"), Code.HOST_FAILED, id="html"),
        pytest.param(http(b"[" * 100_000), Code.HOST_FAILED, id="deep"),
        pytest.param(http(b'{"choices": []}'), Code.HOST_FAILED, id="no-choice"),
        pytest.param(http(b'{"choices": [{"text": 3}]}'), Code.HOST_FAILED, id="number"),
        pytest.param(http(b'{"choices": ["x"]}'), Code.HOST_FAILED, id="string"),
        pytest.param(http(b"null"), Code.HOST_FAILED, id="null"),
        pytest.param(http(b'{"x": "' + b"y" * (9 << 20) + b'"}'), Code.HOST_FAILED, id="too-long"),
        pytest.param(
            http(b"{}", "302 Found", "Location: http://evil/\r\n"), Code.HOST_FAILED, id="redirect"
        ),
        pytest.param(
            http(b'{"error": {"code": "lost"}}', "500 X"), Code.HOST_FAILED, id="blames-us"
        ),
        pytest.param(
            http(b'{"error": {"code": "nonsense"}}', "500 X"), Code.HOST_FAILED, id="unknown-code"
        ),
        pytest.param(http(b'{"error": "SECRET"}', "500 X"), Code.HOST_FAILED, id="no-code"),
        pytest.param(
            http(b'{"error": {"code": "prompt_too_long"}}', "400 X"),
            Code.PROMPT_TOO_LONG,
            id="too-long-prompt",
        ),
        pytest.param(
            http(b'{"error": {"code": "endpoint_timeout"}}', "504 X"),
            Code.ENDPOINT_TIMEOUT,
            id="gateway",
        ),
    ],
)
def test_a_hostile_server(
    answer: bytes, code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(path: Path) -> Completion:
        async with HttpBackend(path, model="m", seconds=30) as backend:
            return await backend.complete("Question:", Sampling(5))

    monkeypatch.chdir(tmp_path)
    with raw_server(Path(), answer) as path, pytest.raises(EvaluatorError) as caught:
        asyncio.run(run(path))
    assert caught.value.code is code
    assert "SECRET" not in str(caught.value)


def test_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with HttpBackend(Path("s"), model="m", seconds=0.2) as backend:
            await backend.complete("Question:", Sampling(5))

    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener, pytest.raises(EvaluatorError) as caught:
        listener.bind("s")
        listener.listen()
        asyncio.run(run())
    assert caught.value.code is Code.HOST_TIMEOUT


def test_a_backend_that_is_not_open() -> None:
    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(HttpBackend(Path("s"), model="m").complete("x", Sampling(1)))
    assert caught.value.code is Code.INTERNAL


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (
            '{"error": {"message": "SECRET", "param": "input_tokens", "code": 400}}',
            Code.PROMPT_TOO_LONG,
        ),
        ('{"error": {"message": "SECRET", "param": "max_tokens", "code": 400}}', Code.HOST_FAILED),
        ('{"error": {"code": "engine_oom"}}', Code.ENGINE_OOM),
        ('{"error": {"code": "checkpoint_bad_template"}}', Code.CHECKPOINT_BAD_TEMPLATE),
        ('{"error": {"code": "lost"}}', Code.HOST_FAILED),
        ('{"error": "SECRET"}', Code.HOST_FAILED),
    ],
)
def test_what_a_server_may_say_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, code: Code
) -> None:
    answer = f"HTTP/1.1 400 Bad\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()

    async def run(path: Path) -> None:
        async with HttpBackend(path, model="m", seconds=30) as backend:
            await backend.complete("Question:", Sampling(5))

    monkeypatch.chdir(tmp_path)
    with raw_server(Path(), answer) as path, pytest.raises(EvaluatorError) as caught:
        asyncio.run(run(path))
    assert caught.value.code is code
