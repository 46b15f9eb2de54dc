"""The gateway's own program: its configuration, its refusals, one shared pause."""

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.hosts.gateway.__main__ import read_question
from evaluator.hosts.gateway.asking import Gateway
from evaluator.hosts.gateway.patience import Patience
from evaluator.hosts.gateway.settings import Settings, read_settings

TOLD: dict[str, Any] = {
    "url": "https://api.example.org/v1",
    "model": "m",
    "api": "chat",
    "key": "sk-secret",
    "allow_private": False,
}


def settings(**changes: Any) -> Settings:
    return read_settings(json.dumps({**TOLD, **changes}).encode())


def test_the_configuration_is_read_and_the_key_is_not_shown() -> None:
    read = settings(patience={"attempts": 9})
    assert (read.model, read.patience.attempts) == ("m", 9)
    assert "sk-secret" not in repr(read)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"{sk-secret",
        json.dumps({**TOLD, "api": "sk-secret"}).encode(),
        json.dumps({**TOLD, "more": "sk-secret"}).encode(),
        json.dumps({**TOLD, "patience": {"sk-secret": 1}}).encode(),
    ],
)
def test_a_bad_configuration_is_refused_and_not_quoted(raw: bytes) -> None:
    with pytest.raises(EvaluatorError) as caught:
        read_settings(raw)
    assert caught.value.code is Code.MISCONFIGURED
    assert "sk-secret" not in str(caught.value)


def test_the_request_is_rebuilt_from_the_fields_that_are_known() -> None:
    asked = {
        "model": "theirs",
        "messages": [{"role": "user", "content": "q"}],
        "max_tokens": 5,
        "stop": [],
        "tools": [1],
        "n": 3,
    }
    assert read_question(json.dumps(asked).encode(), settings()) == {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "max_tokens": 5,
    }


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"prompt": "x"}', b"[" * 100_000])
def test_a_request_that_is_none(raw: bytes) -> None:
    with pytest.raises(EvaluatorError) as caught:
        read_question(raw, settings())
    assert caught.value.code is Code.BAD_MESSAGE


def test_a_rate_limit_pauses_every_question(start_stub: Any) -> None:
    """The first is refused for one second; those asked meanwhile wait with it."""
    stub = start_stub("limited")
    settings = Settings(
        url=stub.url, model="m", allow_private=True, patience=Patience(timeout_seconds=10)
    )

    async def run() -> None:
        gateway = Gateway(settings)
        await gateway.open()
        first = asyncio.create_task(gateway.ask({"prompt": "x"}))
        while not await asyncio.to_thread(stub.requests):
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)
        await asyncio.gather(first, *(gateway.ask({"prompt": "y"}) for _ in range(5)))
        await gateway.close()

    asyncio.run(run())
    refused, *others = sorted(request["time"] for request in stub.requests())
    assert len(others) == 6
    assert min(others) - refused >= 1.0


def test_a_refused_address_is_remembered_and_nothing_is_opened() -> None:
    async def run() -> Gateway:
        gateway = Gateway(settings(url="https://169.254.169.254/v1"))
        await gateway.open()
        with pytest.raises(EvaluatorError):
            await gateway.ask({"prompt": "x"})
        return gateway

    problem = asyncio.run(run()).problem
    assert problem is not None
    assert problem.code is Code.ENDPOINT_REFUSED


def test_it_does_not_start_without_its_configuration(tmp_path: Any) -> None:
    command = [sys.executable, "-m", "evaluator.hosts.gateway", "--socket", str(tmp_path / "s")]
    begun = time.monotonic()
    done = subprocess.run(
        command, input=b"{sk-secret", capture_output=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert b"sk-secret" not in done.stdout + done.stderr
    assert time.monotonic() - begun < 60
