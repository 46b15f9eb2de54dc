"""Remote endpoints through the real gateway: everything that can come back, and what becomes of it."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from evaluator.backends import Completion, EndpointTarget, Sampling, serve_endpoint
from evaluator.errors import Code, EvaluatorError
from tests.evaluator.processes import descendants

KEY = "sk-canary-0123456789"
PROMPT = "Question: a prompt that must not be echoed"
QUICK = {"timeout_seconds": 1.0, "attempts": 2, "backoff_seconds": 0.02, "rate_limited_attempts": 4}
Start = Callable[[str], Any]


def ask(
    url: str,
    workdir: Path,
    *,
    api: Literal["completions", "chat"] = "completions",
    times: int = 1,
    allow_private: bool = True,
    key: str = KEY,
    sampling: Sampling | None = None,
    **settings: float,
) -> list[Completion]:
    """Completions of one prompt, asked at once."""

    async def run() -> list[Completion]:
        target = EndpointTarget(url, "some/model", api)
        async with serve_endpoint(
            target,
            key=key,
            allow_private=allow_private,
            ready_seconds=60,
            workdir=workdir,
            settings={**QUICK, **settings},
        ) as backend:
            questions = (
                backend.complete(PROMPT, sampling or Sampling(20, ("\n\n",))) for _ in range(times)
            )
            return await asyncio.gather(*questions)

    return asyncio.run(run())


def code_of(url: str, workdir: Path, **options: Any) -> Code:
    with pytest.raises(EvaluatorError) as caught:
        ask(url, workdir, **options)
    for secret in (KEY, PROMPT, "SECRET-OF-THE-REMOTE-SIDE"):
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)
    assert caught.value.__cause__ is None
    return caught.value.code


@pytest.mark.parametrize(
    ("mode", "code", "asked"),
    [
        ("html", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("empty", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("list", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("nochoices", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("deep", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("endless", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("null", Code.ENDPOINT_BAD_RESPONSE, 2),
        ("never", Code.ENDPOINT_TIMEOUT, 2),
        ("drop", Code.ENDPOINT_UNREACHABLE, 2),
        ("500", Code.ENDPOINT_ERROR, 2),
        ("503", Code.ENDPOINT_ERROR, 2),
        ("401", Code.ENDPOINT_UNAUTHORIZED, 1),
        ("403", Code.ENDPOINT_UNAUTHORIZED, 1),
        ("404", Code.ENDPOINT_NOT_FOUND, 1),
        ("400", Code.ENDPOINT_REJECTED, 1),
        ("422", Code.ENDPOINT_REJECTED, 1),
        ("redirect", Code.ENDPOINT_REDIRECTED, 1),
        ("limited_for_ever", Code.ENDPOINT_RATE_LIMITED, 4),
    ],
)
def test_what_comes_back_and_how_often_it_is_asked(
    mode: str, code: Code, asked: int, start_stub: Start, tmp_path: Path
) -> None:
    stub = start_stub(mode)
    assert code_of(stub.url, tmp_path) is code
    assert len(stub.requests()) == asked


def test_a_completion_arrives_and_the_request_is_ours(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("ok")
    assert ask(stub.url, tmp_path) == [Completion(" 1 + 1 = 2\n#### 2", cut=False)]
    [request] = stub.requests()
    assert request["authorization"] == f"Bearer {KEY}"
    assert request["path"] == "/v1/completions"
    assert request["body"] == {
        "model": "some/model",
        "prompt": PROMPT,
        "max_tokens": 20,
        "stop": ["\n\n"],
        "temperature": 0.0,
    }


def test_the_chat_api_gets_one_user_message(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("ok")
    assert (
        ask(stub.url, tmp_path, api="chat", sampling=Sampling(5, seed=3))[0].text
        == " 1 + 1 = 2\n#### 2"
    )
    [request] = stub.requests()
    assert request["path"] == "/v1/chat/completions"
    assert request["body"]["messages"] == [{"role": "user", "content": PROMPT}]
    assert request["body"]["seed"] == 3
    assert "stop" not in request["body"]


def test_a_cut_completion_says_so(start_stub: Start, tmp_path: Path) -> None:
    assert ask(start_stub("cut").url, tmp_path) == [Completion(" 1 +", cut=True)]


def test_a_chat_message_of_null_is_empty(start_stub: Start, tmp_path: Path) -> None:
    assert ask(start_stub("null").url, tmp_path, api="chat") == [Completion("", cut=True)]


def test_half_a_surrogate_pair_becomes_a_replacement(start_stub: Start, tmp_path: Path) -> None:
    [completion] = ask(start_stub("surrogate").url, tmp_path)
    assert completion.text == "a\N{REPLACEMENT CHARACTER}b\0"
    completion.text.encode()


def test_retry_after_is_obeyed_by_every_question(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("limited")
    assert len(ask(stub.url, tmp_path, times=1)) == 1
    first, second = (request["time"] for request in stub.requests())
    assert second - first >= 1.0


def test_a_retry_after_beyond_the_time_of_the_run_is_a_refusal(
    start_stub: Start, tmp_path: Path
) -> None:
    stub = start_stub("limited")
    assert code_of(stub.url, tmp_path, run_seconds=0.5) is Code.ENDPOINT_RATE_LIMITED
    assert len(stub.requests()) == 1


def test_server_errors_are_asked_again_until_they_pass(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("flaky")
    assert ask(stub.url, tmp_path, attempts=3)[0].text.endswith("#### 2")
    assert len(stub.requests()) == 3


def test_many_questions_run_at_once(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("slow")  # 0.2 s each: 10 s in a row
    assert len(ask(stub.url, tmp_path, times=50, timeout_seconds=30)) == 50
    times = [request["time"] for request in stub.requests()]
    assert max(times) - min(times) < 5


def test_no_server_listens(tmp_path: Path) -> None:
    assert code_of("http://127.0.0.1:1/v1", tmp_path) is Code.ENDPOINT_UNREACHABLE


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "https://10.0.0.1/v1",
        "https://localhost/v1",
        "file:///etc/passwd",
    ],
)
def test_private_addresses_are_refused_before_anything_is_sent(url: str, tmp_path: Path) -> None:
    assert code_of(url, tmp_path, allow_private=False) is Code.ENDPOINT_REFUSED


@pytest.mark.parametrize("key", ["a\r\nX-Evil: 1", "clé", "a b", "k" * 100_000])
def test_a_key_that_is_no_key(key: str, start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("ok")
    assert code_of(stub.url, tmp_path, key=key) is Code.ENDPOINT_UNAUTHORIZED
    assert stub.requests() == []


def test_without_a_key_no_header_is_sent(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("ok")
    ask(stub.url, tmp_path, key="")
    assert stub.requests()[0]["authorization"] == ""


def test_proxies_of_the_environment_are_ignored(
    start_stub: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask(start_stub("ok").url, tmp_path)


def test_the_key_is_in_no_command_line_and_no_environment(
    start_stub: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_API_KEY", KEY)
    stub = start_stub("ok")

    async def look() -> list[bytes]:
        target = EndpointTarget(stub.url, "m")
        async with serve_endpoint(
            target, key=KEY, allow_private=True, ready_seconds=60, workdir=tmp_path
        ):
            gateways = [
                pid
                for pid, _ in descendants(os.getpid())
                if b"hosts.gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
            return [
                Path(f"/proc/{pid}/{name}").read_bytes()
                for pid in gateways
                for name in ("cmdline", "environ")
            ]

    found = asyncio.run(look())
    assert len(found) == 2
    assert all(KEY.encode() not in text for text in found)
    assert b"HOLDFAST" not in found[1]


def test_the_gateway_ends_with_the_block(start_stub: Start, tmp_path: Path) -> None:
    ask(start_stub("ok").url, tmp_path)
    assert not [
        pid
        for pid, _ in descendants(os.getpid())
        if b"hosts.gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_question_ends_at_once(start_stub: Start, tmp_path: Path) -> None:
    stub = start_stub("never")

    async def run() -> float:
        target = EndpointTarget(stub.url, "m")
        async with serve_endpoint(
            target, key="", allow_private=True, ready_seconds=60, workdir=tmp_path
        ) as backend:
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await backend.complete(PROMPT, Sampling(5))
            return time.monotonic() - begun

    assert asyncio.run(run()) < 5
