"""Connections to checked addresses only.

- The operator chooses the servers, which may stand in a private network. They are the only such
  hosts: a redirect to any other leads to a public address over https, or nowhere.
- A name is resolved once, every answer is checked, and the connection goes to that very address.
"""

import asyncio
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import httpx

from evaluator import addresses
from evaluator.errors import Code, EvaluatorError, error

API_SECONDS = 10.0
"""Seconds without a byte until a request is abandoned."""
MOST_API_BYTES = 32 << 20
"""Bytes of an answer of the API. The largest listings have a few megabytes."""


def client_of(*endpoints: str) -> httpx.Client:
    """Return a client of these servers, which follows other redirects to public addresses only."""
    return httpx.Client(
        transport=_CheckedTransport(endpoints),
        follow_redirects=True,
        max_redirects=5,
        timeout=API_SECONDS,
        trust_env=False,
    )


class _CheckedTransport(httpx.BaseTransport):
    """Transport that connects to checked addresses only."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._endpoints = {_origin(endpoint) for endpoint in endpoints}
        self._inner = httpx.HTTPTransport(trust_env=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request to an address of its host."""
        target, resolved = self._reach(request.url)
        sent = httpx.Request(
            request.method,
            request.url.copy_with(host=resolved[0]),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": target.host},
        )
        response = self._inner.handle_request(sent)
        stream = response.stream
        of_api = request.url.path.startswith("/api/")
        if of_api and isinstance(stream, httpx.SyncByteStream):
            response.stream = _Limited(stream, MOST_API_BYTES)
        return response

    def close(self) -> None:
        """Close every connection."""
        self._inner.close()

    def _reach(self, url: httpx.URL) -> tuple[addresses.Target, tuple[str, ...]]:
        """Return what is called, and its addresses, each of them checked."""
        origin = _origin(str(url))
        own = origin in self._endpoints  # a server of the operator's
        try:
            target = addresses.check(origin, allow_private=own)
        except EvaluatorError:
            raise error(Code.HUB_REDIRECTED) from None
        try:
            resolution = addresses.resolve(target, allow_private=own)
            resolved = asyncio.run(resolution)
        except EvaluatorError as failure:
            if failure.code is Code.ENDPOINT_UNREACHABLE:
                raise error(Code.HUB_UNREACHABLE) from None
            if own:
                raise error(Code.MISCONFIGURED, "the server has a forbidden address") from None
            raise error(Code.HUB_REDIRECTED) from None
        return target, resolved


class _Limited(httpx.SyncByteStream):
    """Body of a response, up to a number of bytes."""

    def __init__(self, inner: httpx.SyncByteStream, most: int) -> None:
        self._inner = inner
        self._most = most

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise error(Code.HUB_BAD_FILES, "the listing is too long")
            yield chunk

    def close(self) -> None:
        """Close the body."""
        self._inner.close()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    _, _, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{host}"
