"""LiteLLM adapter: providers whose APIs are their own. Only this process imports the library.

The library is trusted with one key and nothing else. An answer is judged here, at the client that
sends its requests, from the status and the headers themselves: no redirect is followed, no body is
read beyond a bound or unpacked, no address of the deny list is called, and an exception's text is
dropped.
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
"""Environment of the library."""
_ATTRIBUTES = {
    "telemetry": False,
    "suppress_debug_info": True,
    "turn_off_message_logging": True,
    "num_retries": 0,
}
_CALLBACKS = (
    "callbacks",
    "input_callback",
    "success_callback",
    "failure_callback",
    "service_callback",
)


_MESSAGE_FIELDS = ("reasoning_content", "reasoning", "refusal")


@dataclass(slots=True)
class _Seen:
    """Reason of the last failed request of one question; ``sent`` are its fields' names."""

    sent: frozenset[str] = frozenset()
    refusal: Refused | None = None


_seen: contextvars.ContextVar[_Seen] = contextvars.ContextVar("seen")


_pinned: dict[addresses.Target, tuple[str, ...]] = {}
"""Targets that this process may call, with the addresses that were checked.

Where it is empty, any permitted address.
"""


def _pinned_addresses() -> set[str]:
    return {address for resolved in _pinned.values() for address in resolved}


class LiteLLMAdapter:
    """Model of a provider. Installs its guards in the whole process: give it one of its own."""

    def __init__(
        self,
        api: Api,
        *,
        url: str,
        key: str,
        allow_private: bool,
        seconds: float,
    ) -> None:
        self._api = api
        self._url = url
        self._key = key
        self._allow_private = allow_private
        self._seconds = seconds
        self._library: ModuleType | None = None

    async def open(self) -> None:
        """Install the guards, then load the library.

        Raises ENDPOINT_UNAUTHORIZED, ENDPOINT_REFUSED, ENGINE_MISSING.
        """
        if not valid_key(self._key):
            raise error(Code.ENDPOINT_UNAUTHORIZED)
        if self._url:
            target = addresses.check(self._url, allow_private=self._allow_private)
            _pinned[target] = await addresses.resolve(target, allow_private=self._allow_private)
            _answer_names()
        guard.install(
            allow_private=self._allow_private, refused=_record_refused, only=_pinned_addresses
        )
        _bound_clients(allow_private=self._allow_private)
        self._library = _load()

    async def close(self) -> None:
        """Do nothing: every connection ends with the process."""

    async def ask_once(self, question: dict[str, Any]) -> dict[str, Any]:
        """Make one attempt. Raises Refused."""
        library = self._library
        if library is None:
            raise error(Code.INTERNAL, "the adapter is not open")
        options: dict[str, Any] = {
            "api_key": self._key or "none",
            "timeout": self._seconds,
            "max_retries": 0,
        }
        if self._url:
            options["api_base"] = self._url
        seen = _Seen(frozenset(question))
        _seen.set(seen)
        try:
            async with asyncio.timeout(self._seconds):
                ask = library.acompletion if self._api == "chat" else library.atext_completion
                response = await ask(**question, **options)
        except TimeoutError:
            raise Refused(Code.ENDPOINT_TIMEOUT) from None
        except EvaluatorError:
            raise
        except Exception as problem:  # noqa: BLE001 - its text may hold the key or the prompt
            if seen.refusal:
                raise seen.refusal from None
            # The library itself refuses: for a missing key, a parameter, a strange body.
            status = getattr(problem, "status_code", None)
            if isinstance(status, int) and 400 <= status < 500:
                raise refusal_of_library(status, str(problem), seen.sent) from None
            raise bad_response() from None
        return read_response(response, self._api)


def read_response(response: Any, api: Api) -> dict[str, Any]:
    """Return the first completion in the library's object. Raises Refused."""
    try:
        choice = response.choices[0]
        text = choice.message.content if api == "chat" else choice.text
        reason = choice.finish_reason
        usage = getattr(response, "usage", None)
        counts = usage and {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
    except (AttributeError, TypeError, ValueError, IndexError):
        raise bad_response() from None
    original = getattr(choice, "message", None)
    message = {name: getattr(original, name, None) for name in _MESSAGE_FIELDS}
    # Fields of a message that the library does not know.
    fields = getattr(original, "provider_specific_fields", None)
    if not message["refusal"] and isinstance(fields, dict):
        message["refusal"] = fields.get("refusal")
    model = getattr(response, "model", None)
    return completion(text, reason, counts, api, model=model, message=message)


def _load() -> ModuleType:
    """Import the library and silence it. Raises ENGINE_MISSING where it is not installed."""
    os.environ.update(_SETTINGS)
    logging.disable(logging.CRITICAL)
    try:
        litellm = importlib.import_module("litellm")  # after the guards are installed
    except ImportError:
        raise error(Code.ENGINE_MISSING, "litellm: install requirements/hosts.txt") from None
    for name, value in _ATTRIBUTES.items():
        setattr(litellm, name, value)
    for name in _CALLBACKS:
        setattr(litellm, name, [])
    return litellm


def _answer_names() -> None:
    """From now on resolve pinned names to the checked addresses, and no other name."""
    original = socket.getaddrinfo

    def pinned(
        host: Any,
        port: Any,
        *args: Any,
        **kwargs: Any,
    ) -> list[Any]:
        text = str(host)
        if isinstance(host, bytes):
            text = host.decode("ascii", "replace")
        name = text.rstrip(".").lower()
        known: set[str] = set()
        for target, resolved in _pinned.items():
            if target.host == name:
                known.update(resolved)
        if not known and name not in _pinned_addresses():
            _record_refused()
            raise socket.gaierror(socket.EAI_NONAME, "not a pinned host")
        results: list[Any] = []
        for address in sorted(known) or [name]:
            results += original(address, port, *args, **kwargs)
        return results

    socket.getaddrinfo = pinned


def _stays(url: httpx.URL) -> bool:
    """Return true if a request goes to the named host, beneath its path.

    A host may have other tenants.
    """
    if not _pinned:
        return True
    port = url.port or (443 if url.scheme == "https" else 80)
    place = (url.scheme, url.host.rstrip("."), port)
    path = url.path.rstrip("/") + "/"
    for target in _pinned:
        same_host = place == (target.scheme, target.host, target.port)
        if same_host and path.startswith(target.path + "/"):
            return True
    return False


def _bound_clients(*, allow_private: bool) -> None:
    """Have every httpx client of this process judge and bound its responses."""
    send = httpx.AsyncClient.send

    async def bounded(
        self: httpx.AsyncClient,
        request: httpx.Request,
        *,
        stream: bool = False,
        **options: Any,
    ) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        with _recording():
            place = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
            addresses.check(place, allow_private=allow_private)
            if not _stays(request.url) or ".." in request.url.path:
                raise error(Code.ENDPOINT_REFUSED, "another address")
            options["follow_redirects"] = False
            response = await send(self, request, stream=True, **options)
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
    """Read a body within the bound, and leave a plain one to the library. Raises Refused."""
    status = response.status_code
    headers = response.headers
    sent = _seen.get(_Seen()).sent
    body = b"" if 300 <= status < 400 else await _read(response)
    if not 200 <= status < 300:
        with suppress(Refused):  # the status decides
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
    """Return the body as it was sent, and release the connection.

    Raises Refused where it grows too long.
    """
    body = bytearray()
    stream = response.stream
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
def _recording() -> Iterator[None]:
    """Record the reason of a failure before the library's own exceptions blur it."""
    try:
        yield
    except Refused as refused:
        _record(refused)
        raise
    except EvaluatorError as refused:
        _record(Refused(refused.code))
        raise
    except httpx.TimeoutException:
        _record(Refused(Code.ENDPOINT_TIMEOUT))
        raise
    except httpx.TransportError as problem:
        cause: BaseException | None = problem
        while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
            cause = cause.__cause__ or cause.__context__
        bad_certificate = cause is not None
        code = Code.ENDPOINT_REFUSED if bad_certificate else Code.ENDPOINT_UNREACHABLE
        _record(Refused(code))
        raise


def _record(refusal: Refused) -> None:
    """Record the first reason: later ones follow from it."""
    seen = _seen.get(None)
    if seen is not None and seen.refusal is None:
        seen.refusal = refusal


def _record_refused() -> None:
    _record(Refused(Code.ENDPOINT_REFUSED))
