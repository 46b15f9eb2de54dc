"""The plain HTTP adapter: one request to one OpenAI-compatible API, and what came of it as a code.

The remote side is hostile: its body is read up to a bound, decoded strictly, and never echoed.
"""

import asyncio
import json
import socket
from collections.abc import Sequence
from typing import Any, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from evaluator.addresses import Target
from evaluator.errors import Code

MAX_BODY_BYTES = 4 << 20
_PATHS = {"completions": "/completions", "chat": "/chat/completions"}
_STATUSES = {
    401: Code.ENDPOINT_UNAUTHORIZED,
    403: Code.ENDPOINT_UNAUTHORIZED,
    404: Code.ENDPOINT_NOT_FOUND,
    408: Code.ENDPOINT_TIMEOUT,
    425: Code.ENDPOINT_RATE_LIMITED,
    429: Code.ENDPOINT_RATE_LIMITED,
}

Api = Literal["completions", "chat"]


class Refused(Exception):
    """One attempt failed with this code; ``retry_after`` is the header's text."""

    def __init__(self, code: Code, retry_after: str | None = None) -> None:
        super().__init__(code.value)
        self.code = code
        self.retry_after = retry_after


class PinnedResolver(AbstractResolver):
    """Answers with the addresses that were checked, whatever a name server says by now."""

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        self._host = host
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The checked addresses; any other host is unknown."""
        if host.rstrip(".") != self._host:
            raise OSError("not the pinned host")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


def open_session(target: Target, addresses: Sequence[str], *, key: str, seconds: float) -> aiohttp.ClientSession:
    """A session that can reach one host, at these addresses only. No proxies, no cookies, no compression."""
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "holdfast"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=PinnedResolver(target.host, addresses), limit=0, use_dns_cache=False, ttl_dns_cache=None
        ),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds),
        auto_decompress=False,
        trust_env=False,
    )


async def ask_once(session: aiohttp.ClientSession, target: Target, api: Api, question: dict[str, Any]) -> Any:
    """One attempt. Returns our own completion object; raises Refused."""
    url = target.url + _PATHS[api]
    try:
        async with session.post(url, json=question, allow_redirects=False) as response:
            _judge(response)
            body = await _read(response)
    except TimeoutError:
        raise Refused(Code.ENDPOINT_TIMEOUT) from None
    except aiohttp.ClientConnectorCertificateError:
        raise Refused(Code.ENDPOINT_REFUSED) from None
    except (aiohttp.ClientConnectorError, aiohttp.ServerConnectionError, aiohttp.ClientOSError, OSError):
        raise Refused(Code.ENDPOINT_UNREACHABLE) from None
    except (aiohttp.ClientError, ValueError):
        raise Refused(Code.ENDPOINT_BAD_RESPONSE) from None
    return read_answer(body, api)


def read_answer(body: bytes, api: Api) -> dict[str, Any]:
    """The one completion in a body, rebuilt so that nothing else of it goes on. Raises Refused.

    A chat message whose content is null is an empty completion: some models spend all tokens on thinking.
    """
    try:
        [choice] = json.loads(body)["choices"]
        text = choice["message"]["content"] if api == "chat" else choice["text"]
        reason = choice.get("finish_reason")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise Refused(Code.ENDPOINT_BAD_RESPONSE) from None
    if text is None and api == "chat":
        text = ""
    if not isinstance(text, str):
        raise Refused(Code.ENDPOINT_BAD_RESPONSE)
    content = {"message": {"role": "assistant", "content": text}} if api == "chat" else {"text": text}
    return {"choices": [{"index": 0, **content, "finish_reason": "length" if reason == "length" else "stop"}]}


def valid_key(key: str) -> bool:
    """Whether a key can stand in a header: printable ASCII without spaces, of a sane length, or empty."""
    return len(key) <= 8192 and key.isascii() and (not key or key.isprintable()) and " " not in key


def _judge(response: aiohttp.ClientResponse) -> None:
    status = response.status
    if status == 200:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(Code.ENDPOINT_BAD_RESPONSE)
        return
    if 300 <= status < 400:
        raise Refused(Code.ENDPOINT_REDIRECTED)
    code = _STATUSES.get(status)
    if code is None:
        code = Code.ENDPOINT_ERROR if status >= 500 else Code.ENDPOINT_REJECTED
    raise Refused(code, response.headers.get("Retry-After"))


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            response.close()
            raise Refused(Code.ENDPOINT_BAD_RESPONSE)
        await asyncio.sleep(0)  # an endless body does not starve the others
    return bytes(body)
