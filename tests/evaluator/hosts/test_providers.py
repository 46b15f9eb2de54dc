"""The LiteLLM adapter, with the library itself: what comes back as a code, and that nothing of it goes anywhere."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaluator.backends.servers import _variables
from evaluator.errors import Code
from evaluator.hosts.gateway.guard import _permitted

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("litellm"), reason="LiteLLM is not installed"
)
PROBE = Path(__file__).with_name("litellm_probe.py")
KEY = "sk-canary-0123456789"
ANSWER = {
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": " 1 + 1 = 2\n#### 2"},
            "finish_reason": "stop",
        }
    ],
}
EXPECTED: dict[str, Any] = {
    "ok": ANSWER,
    "401": [Code.ENDPOINT_UNAUTHORIZED, None, False],
    "404": [Code.ENDPOINT_NOT_FOUND, None, False],
    "400": [Code.ENDPOINT_REJECTED, None, False],
    "500": [Code.ENDPOINT_ERROR, None, False],
    "503": [Code.ENDPOINT_ERROR, None, True],
    "limited": [Code.ENDPOINT_RATE_LIMITED, "1", True],
    "redirect": [Code.ENDPOINT_REDIRECTED, None, False],
    "gzip": {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": " 2" * 1000},
                "finish_reason": "stop",
            }
        ]
    },
    "endless": [Code.ENDPOINT_BAD_RESPONSE, None, False],
    "html": [Code.ENDPOINT_BAD_RESPONSE, None, False],
    "drop": [Code.ENDPOINT_UNREACHABLE, None, False],
    "never": [Code.ENDPOINT_TIMEOUT, None, True],
}


def probe(*arguments: str) -> "tuple[dict[str, Any], subprocess.CompletedProcess[str]]":
    done = subprocess.run(
        [sys.executable, str(PROBE), *arguments],
        input=KEY + "\n",
        env=_variables(1)
        | {"PYTHONDONTWRITEBYTECODE": os.environ.get("PYTHONDONTWRITEBYTECODE", "")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done


@pytest.mark.slow
def test_what_comes_back_and_that_nothing_is_logged_or_followed(
    start_stub: Callable[[str], Any],
) -> None:
    stubs = {mode: start_stub(mode) for mode in EXPECTED}
    found, done = probe(*(f"{mode}={stub.url}" for mode, stub in stubs.items()))
    assert found == EXPECTED
    for secret in (KEY, "must not be echoed", "SECRET-OF-THE-REMOTE-SIDE", "litellm"):
        assert secret not in done.stdout + done.stderr
    for mode, stub in stubs.items():
        asked = stub.requests()
        assert [one["path"] for one in asked] == ["/v1/chat/completions"], mode
        assert asked[0]["authorization"] == f"Bearer {KEY}"


def test_addresses_that_may_not_be_called_are_not_called(start_stub: Callable[[str], Any]) -> None:
    stub = start_stub("ok")
    found, _ = probe(
        "public",
        f"loopback={stub.url}",
        "metadata=https://169.254.169.254/v1",
        "plain=http://example.org",
    )
    assert {mode: code for mode, (code, *_) in found.items()} == dict.fromkeys(
        found, Code.ENDPOINT_REFUSED
    )
    assert stub.requests() == []


PINNED = """
import asyncio, socket, sys
import httpx
from evaluator import addresses
from evaluator.hosts.gateway import guard, providers
here, elsewhere, pinned = sys.argv[1:]
target = addresses.check(here + "/v1", allow_private=True)
if pinned == "True":
    providers._pinned[target] = ("127.0.0.1",)
    providers._answer_names()
guard.install(allow_private=True, refused=lambda: None, only=providers._pinned_addresses)
providers._bound_clients(allow_private=True)

async def ask(url):
    try:
        async with httpx.AsyncClient() as client:
            return (await client.post(url, json={})).status_code
    except Exception as problem:
        return type(problem).__name__

def name(host):
    try:
        return len(socket.getaddrinfo(host, 80)) > 0
    except OSError:
        return False

for url in (here + "/v1/chat/completions", here + "/other/v1/chat/completions", elsewhere + "/v1/chat/completions"):
    print(asyncio.run(ask(url)))
print(name("127.0.0.1"), name("localhost"), name("127.0.0.2"))
try:
    socket.socket().connect(("127.0.0.2", 9))
except OSError as problem:
    print(type(problem).__name__)
"""


@pytest.mark.parametrize("pinned", [True, False])
def test_a_provider_that_was_given_an_address_is_asked_there_and_beneath_it_only(
    start_stub: Callable[[str], Any], pinned: bool
) -> None:
    here, elsewhere = (start_stub("ok").url.removesuffix("/v1") for _ in range(2))
    done = subprocess.run(
        [sys.executable, "-c", PINNED, here, elsewhere, str(pinned)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if pinned:
        assert lines == [
            "200",
            "TheirsNever",
            "TheirsNever",
            "True False False",
            "PermissionError",
        ], done.stderr
    else:  # what the pins are for
        assert lines[2:] == ["200", "True True True", "ConnectionRefusedError"], done.stderr


WALL = """
import socket
from evaluator.hosts.gateway import guard
seen = []
guard.install(allow_private={private}, refused=lambda: seen.append(1))
listener = socket.create_server(("127.0.0.1", 0))
try:
    socket.create_connection(listener.getsockname(), timeout=5)
except PermissionError:
    pass
print(len(seen))
"""


@pytest.mark.parametrize(("private", "refused"), [(False, "1"), (True, "0")])
def test_the_wall_stands_at_the_connection_itself(private: bool, refused: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WALL.format(private=private)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == refused


@pytest.mark.parametrize(
    "address", ["/run/socket", b"\0x", ("not an address", 1), (), None, ("169.254.169.254", 80)]
)
def test_sockets_that_lead_elsewhere(address: Any) -> None:
    assert not _permitted(address, allow_private=True)


ODD: dict[str, Code] = {
    "refuses-max_tokens": Code.ENDPOINT_NO_MAX_TOKENS,
    "filter400": Code.ENDPOINT_REFUSES_ITEMS,
    "context400": Code.PROMPT_TOO_LONG,
    "output400": Code.ENDPOINT_OUTPUT_LIMIT,
    "credit402": Code.ENDPOINT_NO_CREDIT,
    "quota429": Code.ENDPOINT_NO_CREDIT,
    "moderation403": Code.ENDPOINT_REFUSES_ITEMS,
    "legal451": Code.ENDPOINT_REFUSES_ITEMS,
    "error200": Code.ENDPOINT_BAD_RESPONSE,
    "badjson200": Code.ENDPOINT_BAD_RESPONSE,
    "nochoices200": Code.ENDPOINT_BAD_RESPONSE,
    "sse": Code.ENDPOINT_STREAM_ONLY,
    "reasoning_only": Code.ENDPOINT_REASONING_ONLY,
}
READ = ("created201", "bom", "end_turn", "two", "parts", "latin1", "filtered200", "finish_max")


@pytest.mark.slow
def test_what_was_reported_in_public_is_named_or_read(start_odd: Callable[..., Any]) -> None:
    """In one process, since loading the library takes seconds."""
    found, _ = probe(*(f"{odd}={start_odd(odd).url}" for odd in (*ODD, *READ)))
    assert {
        odd: found[odd][0] if isinstance(found[odd], list) else found[odd] for odd in ODD
    } == ODD
    choices = {odd: found[odd]["choices"][0] for odd in READ}
    answered = ("created201", "bom", "end_turn", "two", "parts")
    assert {choices[odd]["message"]["content"] for odd in answered} == {" It is number 0"}
    assert choices["latin1"]["message"]["content"] == " It is number 0 caf\u00e9"
    assert choices["filtered200"]["reason"] == "filtered"
    assert choices["finish_max"]["finish_reason"] == "length"
