"""The LiteLLM adapter: providers whose APIs are their own. Only this process ever imports the library.

The library is trusted with one key and nothing else. What is decided about an answer is decided here, at the client
that it sends its requests with, from the status and the headers themselves: no redirect is followed, no body is read
beyond a bound or unpacked, no address is called that the deny list has, and an exception's text goes nowhere.
"""

import asyncio
import contextvars
import importlib
import json
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import httpx

from evaluator import addresses
from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts.gateway import guard
from evaluator.hosts.gateway.adapter import MAX_BODY_BYTES, Api, Refused, bad_response
from evaluator.hosts.gateway.answers import completion, simplified
from evaluator.hosts.gateway.bodies import as_utf8, decoded, is_stream, unpacked
from evaluator.hosts.gateway.plain import valid_key
from evaluator.hosts.gateway.refusals import refusal, refusal_in_answer, refusal_of_library

_SETTINGS = {
    "LITELLM_MODE": "PRODUCTION",  # no .env file is read
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # no price list is fetched
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_RUST": "False",  # connections that Rust makes are seen by no audit hook
    "LITELLM_LOG": "CRITICAL",
    "DO_NOT_TRACK": "1",
}


_SAID_BESIDE = ("reasoning_content", "reasoning", "refusal")


@dataclass(slots=True)
class _Seen:
    """Why the last request of one question failed, if it did. ``sent`` are the names of the question's fields."""

    sent: frozenset[str] = frozenset()
    refusal: Refused | None = None


_seen: contextvars.ContextVar[_Seen] = contextvars.ContextVar("seen")


_pinned: dict[addresses.Target, tuple[str, ...]] = {}
"""What this process may call, with the addresses that were checked; anything that is permitted where it is empty."""


def _pinned_addresses() -> set[str]:
    return {address for found in _pinned.values() for address in found}


class LiteLLMAdapter:
    """One model of one provider. Installs its walls in the whole process: use one in a process of its own."""

    def __init__(
        self, api: Api, *, url: str, key: str, allow_private: bool, seconds: float
    ) -> None:
        self._api, self._url, self._key = api, url, key
        self._allow_private, self._seconds = allow_private, seconds
        self._library: ModuleType | None = None

    async def open(self) -> None:
        """Put up the walls, then load the library. Raises ENDPOINT_UNAUTHORIZED, ENDPOINT_REFUSED, HOST_FAILED."""
        if not valid_key(self._key):
            raise error(Code.ENDPOINT_UNAUTHORIZED)
        if self._url:
            target = addresses.check(self._url, allow_private=self._allow_private)
            _pinned[target] = await addresses.resolve(target, allow_private=self._allow_private)
            _answer_names()
        guard.install(
            allow_private=self._allow_private, refused=_remember_refused, only=_pinned_addresses
        )
        _bound_clients(allow_private=self._allow_private)
        self._library = _load()

    async def close(self) -> None:
        """Nothing is held that does not end with the process."""

    async def ask_once(self, question: dict[str, Any]) -> dict[str, Any]:
        """One attempt. Raises Refused."""
        seen = _Seen(frozenset(question))
        _seen.set(seen)
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._ask(question)
        except TimeoutError:
            raise Refused(Code.ENDPOINT_TIMEOUT) from None
        except EvaluatorError:
            raise
        except Exception as problem:  # noqa: BLE001 - anything at all, and its text may hold the key or the prompt
            raise seen.refusal or _own_refusal(problem, seen.sent) from None
        return read_response(response, self._api)

    async def _ask(self, question: dict[str, Any]) -> Any:
        if self._library is None:
            raise error(Code.INTERNAL, "the adapter is not open")
        ask = self._library.acompletion if self._api == "chat" else self._library.atext_completion
        about: dict[str, Any] = {
            "api_key": self._key or "none",
            "timeout": self._seconds,
            "max_retries": 0,
        }
        if self._url:
            about["api_base"] = self._url
        response: Any = await ask(**question, **about)
        return response


def read_response(response: Any, api: Api) -> dict[str, Any]:
    """Return the first completion in the library's object. Raises Refused."""
    try:
        choice = response.choices[0]
        text = choice.message.content if api == "chat" else choice.text
        reason, usage = choice.finish_reason, getattr(response, "usage", None)
        counts = usage and {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
    except (AttributeError, TypeError, ValueError, IndexError):
        raise bad_response() from None
    said = {name: getattr(getattr(choice, "message", None), name, None) for name in _SAID_BESIDE}
    said["refusal"] = said["refusal"] or _provider_field(choice, "refusal")
    return completion(
        text, reason, counts, api, model=getattr(response, "model", None), message=said
    )


def _provider_field(choice: Any, name: str) -> object:
    """A field of a message that the library does not know."""
    fields = getattr(getattr(choice, "message", None), "provider_specific_fields", None)
    return fields.get(name) if isinstance(fields, dict) else None


def _load() -> ModuleType:
    """The library, told to keep to itself. Raises HOST_FAILED where it is not installed."""
    os.environ.update(_SETTINGS)
    logging.disable(logging.CRITICAL)
    try:
        litellm = importlib.import_module("litellm")  # after the walls are up
    except ImportError:
        raise error(Code.HOST_FAILED, "LiteLLM is not installed") from None
    for name in (
        "callbacks",
        "input_callback",
        "success_callback",
        "failure_callback",
        "service_callback",
    ):
        setattr(litellm, name, [])
    quiet = {
        "telemetry": False,
        "suppress_debug_info": True,
        "turn_off_message_logging": True,
        "num_retries": 0,
    }
    for name, value in quiet.items():
        setattr(litellm, name, value)
    return litellm


def _answer_names() -> None:
    """From now on a pinned name has the addresses that were checked, and no other name has any."""
    ask = socket.getaddrinfo

    def pinned(host: Any, port: Any, *about: Any, **more: Any) -> list[Any]:
        name = (
            (host.decode("ascii", "replace") if isinstance(host, bytes) else str(host))
            .rstrip(".")
            .lower()
        )
        known = {found for target, found in _pinned.items() if target.host == name}
        if not known and name not in _pinned_addresses():
            _remember_refused()
            raise socket.gaierror(socket.EAI_NONAME, "not a pinned host")
        every = sorted({address for found in known for address in found}) or [name]
        return [found for address in every for found in ask(address, port, *about, **more)]

    socket.getaddrinfo = pinned


def _stays(url: httpx.URL) -> bool:
    """Whether a request goes to the party that was named, and beneath its path: a host may have other tenants."""
    port = url.port or (443 if url.scheme == "https" else 80)
    place = (url.scheme, url.host.rstrip("."), port)
    path = url.path.rstrip("/") + "/"
    return not _pinned or any(
        place == (target.scheme, target.host, target.port) and path.startswith(target.path + "/")
        for target in _pinned
    )


def _bound_clients(*, allow_private: bool) -> None:
    """Have every httpx client of this process judge what it gets, and bound it."""
    send = httpx.AsyncClient.send

    async def bounded(
        self: httpx.AsyncClient, request: httpx.Request, *, stream: bool = False, **about: Any
    ) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        with _remembering():
            place = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
            addresses.check(place, allow_private=allow_private)
            if not _stays(request.url) or ".." in request.url.path:
                raise error(Code.ENDPOINT_REFUSED, "another address")
            response = await send(
                self, request, stream=True, **{**about, "follow_redirects": False}
            )
            try:
                await _judge(response)
                if not stream:
                    await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    httpx.AsyncClient.send = bounded  # type: ignore[method-assign]


async def _judge(response: httpx.Response) -> None:
    """Read a body within the bound, and leave a plain one in UTF-8 to the library. Raises Refused."""
    status, headers = response.status_code, response.headers
    sent = _seen.get(_Seen()).sent
    body = b"" if 300 <= status < 400 else await _read(response)
    if not 200 <= status < 300:
        with suppress(Refused):  # the status says enough
            body = unpacked(body, headers)
        raise refusal(status, headers, body, sent)
    body = as_utf8(unpacked(body, headers))
    if is_stream(body, headers.get("Content-Type", "")):
        raise Refused(Code.ENDPOINT_STREAM_ONLY, reason="bad_response")
    try:
        data = decoded(body)
        refused = refusal_in_answer(data, sent)
        body = json.dumps(simplified(data)).encode()
    except (ValueError, RecursionError):
        raise bad_response() from None
    if refused:
        raise refused
    for name in ("Content-Encoding", "Content-Length"):
        headers.pop(name, None)
    if "charset" in headers.get("Content-Type", "").lower():
        headers["Content-Type"] = "application/json"
    response.stream = httpx.ByteStream(body)


async def _read(response: httpx.Response) -> bytes:
    """Return the body as it was sent, and give the connection back. Raises Refused where it grows too long."""
    body, stream = bytearray(), response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - of an asynchronous client
    try:
        async for chunk in stream:
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise bad_response()
            await asyncio.sleep(0)
    finally:
        await stream.aclose()
    return bytes(body)


@contextmanager
def _remembering() -> Iterator[None]:
    """Keep the reason of a failure where the library's own exceptions cannot blur it."""
    try:
        yield
    except Refused as refused:
        _remember(refused)
        raise
    except EvaluatorError as refused:
        _remember(Refused(refused.code))
        raise
    except httpx.TimeoutException:
        _remember(Refused(Code.ENDPOINT_TIMEOUT))
        raise
    except httpx.TransportError as problem:
        _remember(
            Refused(
                Code.ENDPOINT_REFUSED if _is_certificate(problem) else Code.ENDPOINT_UNREACHABLE
            )
        )
        raise


def _remember(refusal: Refused) -> None:
    """The first reason is the reason: later ones follow from it."""
    seen = _seen.get(None)
    if seen is not None and seen.refusal is None:
        seen.refusal = refusal


def _remember_refused() -> None:
    _remember(Refused(Code.ENDPOINT_REFUSED))


def _is_certificate(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, ssl.SSLCertVerificationError):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _own_refusal(problem: Exception, sent: frozenset[str]) -> Refused:
    """What the library itself refused, before or after the request: a missing key, a parameter, a strange body."""
    status = getattr(problem, "status_code", None)
    if isinstance(status, int) and 400 <= status < 500:
        return refusal_of_library(status, str(problem), sent)
    return bad_response()
