"""Starting and ending model servers: what fails, and that nothing is left behind."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evaluator import jail
from evaluator.backends import Completion, HttpBackend, Sampling, serve_checkpoint
from evaluator.errors import Code, EvaluatorError
from tests.evaluator.processes import alive, cmdline, descendants, wait_for

JAILS = [
    False,
    pytest.param(
        True, marks=pytest.mark.skipif(not jail.available(), reason="bubblewrap cannot shut a process in here")
    ),
]


def ask(
    folder: Path, workdir: Path, prompt: str = "Question:", *, jailed: bool = False, seconds: float = 120
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
    (broken / "chat_template.jinja").write_text("<<{% for one in messages %}{{ one.content }}{% endfor %}>>")

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
    config |= {"model_type": "unheard-of", "auto_map": {"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}}
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


def test_a_working_folder_with_a_long_name(tiny_checkpoint: Path, tmp_path: Path) -> None:
    assert ask(tiny_checkpoint, tmp_path / ("long-" * 30)).cut


def test_a_server_that_is_killed_while_answering(tiny_checkpoint: Path, tmp_path: Path) -> None:
    async def run() -> None:
        async with serve_checkpoint(
            tiny_checkpoint, jailed=False, ready_seconds=120, workdir=tmp_path, threads=1
        ) as backend:
            for pid, _ in descendants(os.getpid()):
                if "hosts.transformers" in cmdline(pid):
                    os.kill(pid, signal.SIGKILL)
            await backend.complete("Question:", Sampling(5))

    with pytest.raises(EvaluatorError) as caught:
        asyncio.run(run())
    assert caught.value.code is Code.HOST_FAILED


@pytest.mark.parametrize("jailed", JAILS)
def test_a_killed_parent_leaves_no_child(tiny_checkpoint: Path, tmp_path: Path, jailed: bool) -> None:
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
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, pass_fds=(listener.fileno(),))
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
        pytest.param(http(b"{}", "302 Found", "Location: http://evil/\r\n"), Code.HOST_FAILED, id="redirect"),
        pytest.param(http(b'{"error": {"code": "lost"}}', "500 X"), Code.HOST_FAILED, id="blames-us"),
        pytest.param(http(b'{"error": {"code": "nonsense"}}', "500 X"), Code.HOST_FAILED, id="unknown-code"),
        pytest.param(http(b'{"error": "SECRET"}', "500 X"), Code.HOST_FAILED, id="no-code"),
        pytest.param(
            http(b'{"error": {"code": "prompt_too_long"}}', "400 X"), Code.PROMPT_TOO_LONG, id="too-long-prompt"
        ),
        pytest.param(http(b'{"error": {"code": "endpoint_timeout"}}', "504 X"), Code.ENDPOINT_TIMEOUT, id="gateway"),
    ],
)
def test_a_hostile_server(answer: bytes, code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
        ('{"error": {"message": "SECRET", "param": "input_tokens", "code": 400}}', Code.PROMPT_TOO_LONG),
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
