"""Plain HTTP adapter: one request to one OpenAI-compatible API, its failure as a code.

The remote side is hostile: its body is read up to a bound, decoded strictly, and never echoed.
"""

import asyncio
import socket
from collections.abc import Collection, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from evaluator import addresses
from evaluator.addresses import Target
from evaluator.errors import Code, error
from evaluator.hosts.gateway.adapter import MAX_BODY_BYTES, Api, Refused, bad_response
from evaluator.hosts.gateway.answers import read_completion
from evaluator.hosts.gateway.bodies import decoded, is_stream, unpacked
from evaluator.hosts.gateway.refusals import refusal, refusal_in_answer

_MAX_LINE_BYTES = 8190
"""Of each line of a response's head."""
_PATHS = {"completions": "/completions", "chat": "/chat/completions"}


class PlainAdapter:
    """OpenAI-compatible API, reached at an address that was checked."""

    def __init__(
        self,
        url: str,
        api: Api,
        *,
        key: str,
        allow_private: bool,
        seconds: float,
    ) -> None:
        self._url = url
        self._api = api
        self._key = key
        self._allow_private = allow_private
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._target: addresses.Target | None = None

    async def open(self) -> None:
        """Check the address and pin it.

        Raises ENDPOINT_UNAUTHORIZED, ENDPOINT_REFUSED, ENDPOINT_UNREACHABLE.
        """
        if not valid_key(self._key):
            raise error(Code.ENDPOINT_UNAUTHORIZED)
        self._target = addresses.check(self._url, allow_private=self._allow_private)
        resolved = await addresses.resolve(self._target, allow_private=self._allow_private)
        self._session = open_session(
            self._target,
            resolved,
            key=self._key,
            seconds=self._seconds,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def ask_once(self, question: dict[str, Any]) -> dict[str, Any]:
        """Make one attempt. Raises Refused."""
        if self._session is None or self._target is None:
            raise error(Code.INTERNAL, "the adapter is not open")
        return await ask_once(self._session, self._target, self._api, question)


class PinnedResolver(AbstractResolver):
    """Resolves to the addresses that were checked, whatever a name server returns by now."""

    def __init__(self, host: str, addresses: Sequence[str]) -> None:
        self._host = host
        self._addresses = addresses

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,
    ) -> list[ResolveResult]:
        """Return the checked addresses; any other host is unknown."""
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
        """Do nothing: it holds no connection."""


def open_session(
    target: Target,
    resolved: Sequence[str],
    *,
    key: str,
    seconds: float,
) -> aiohttp.ClientSession:
    """Return a session that can reach one host, at these addresses only.

    No proxies, no cookies, no compression. Each request has a connection of its own: where one is
    used again, an endpoint that answers twice has its second answer taken for that of the next
    question.
    """
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "holdfast",
    }
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            resolver=PinnedResolver(target.host, resolved),
            limit=0,
            force_close=True,
            use_dns_cache=False,
            ttl_dns_cache=None,
        ),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=seconds),
        auto_decompress=False,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        trust_env=False,
    )


async def ask_once(
    session: aiohttp.ClientSession,
    target: Target,
    api: Api,
    question: dict[str, Any],
) -> dict[str, Any]:
    """Make one attempt. Returns our own completion object; raises Refused."""
    url = target.url + _PATHS[api]
    try:
        async with session.post(url, json=question, allow_redirects=False) as response:
            status = response.status
            headers = response.headers
            body = b"" if 300 <= status < 400 else await _read(response)
    except TimeoutError:
        raise Refused(Code.ENDPOINT_TIMEOUT) from None
    except aiohttp.ClientConnectorCertificateError:
        raise Refused(Code.ENDPOINT_REFUSED) from None
    except (
        aiohttp.ClientConnectorError,
        aiohttp.ServerConnectionError,
        aiohttp.ClientOSError,
        OSError,
    ):
        raise Refused(Code.ENDPOINT_UNREACHABLE) from None
    except (aiohttp.ClientError, ValueError):
        raise bad_response() from None
    if 200 <= status < 300:
        body = unpacked(body, headers)
        if is_stream(body, headers.get("Content-Type", "")):
            raise Refused(Code.ENDPOINT_STREAM_ONLY, reason="bad_response")
        return read_answer(body, api, sent=question)
    try:
        body = unpacked(body, headers)
    except Refused:
        body = b""  # the status decides
    raise refusal(status, headers, body, question)


def read_answer(
    body: bytes,
    api: Api,
    *,
    sent: Collection[str] = (),
) -> dict[str, Any]:
    """Return the completion in a body, rebuilt. Raises Refused."""
    try:
        data = decoded(body)
    except (ValueError, RecursionError):
        raise bad_response() from None
    if refused := refusal_in_answer(data, sent):
        raise refused
    return read_completion(data, api)


def valid_key(key: str) -> bool:
    """Return true if a key can stand in a header.

    Printable ASCII without spaces, 8,192 characters at most, or empty.
    """
    if len(key) > 8192 or " " in key:
        return False
    return key.isascii() and key.isprintable()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            response.close()
            raise bad_response()
        await asyncio.sleep(0)  # an endless body does not starve the others
    return bytes(body)
