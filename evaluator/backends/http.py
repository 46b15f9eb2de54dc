"""The client of every model server: an OpenAI-compatible API on a Unix socket.

What answers may be a stranger's program, so its answer is read up to a bound, and decoded strictly. Its
text is never quoted in an error.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

from evaluator.backends.interface import Completion, Sampling
from evaluator.errors import Code, EvaluatorError, error

MAX_ANSWER_BYTES = 8 << 20
"""An answer longer than this is refused: no completion of a few thousand tokens comes near."""


class HttpBackend:
    """Asks the server behind ``socket``. An async context manager, which closes its connections at the end.

    ``seconds`` bounds one request as a whole; it is generous, since a server may queue what it is sent and
    the gateway retries by itself.
    """

    def __init__(
        self, socket: Path, *, model: str, api: Literal["completions", "chat"] = "completions", seconds: float = 1800
    ) -> None:
        self._socket = socket
        self._model = model
        self._api = api
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            "http://model",
            connector=aiohttp.UnixConnector(path=str(self._socket), limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue ``prompt``. Raises HOST_FAILED, HOST_TIMEOUT or the code that the server answered with."""
        path, question = self._question(prompt)
        request: dict[str, Any] = {"model": self._model, **question, "max_tokens": sampling.max_tokens}
        request["temperature"] = sampling.temperature
        if sampling.stop:  # some APIs refuse an empty list
            request["stop"] = list(sampling.stop)
        if sampling.bos == "never":
            request["add_special_tokens"] = False  # vLLM's name for it, and our Transformers host's
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        return self._completion(await self._ask("POST", path, request))

    async def ready(self) -> None:
        """Wait until the server says that it is. Raises the code that it answers with, or as above."""
        await self._ask("GET", "/health", None)

    def _question(self, prompt: str) -> tuple[str, dict[str, Any]]:
        if self._api == "chat":
            return "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}
        return "/v1/completions", {"prompt": prompt}

    async def _ask(self, method: str, path: str, request: dict[str, Any] | None) -> Any:
        if self._session is None:
            raise error(Code.INTERNAL, "the backend is not open")
        try:
            async with self._session.request(method, path, json=request, allow_redirects=False) as response:
                body = await _read(response)
        except TimeoutError:
            raise error(Code.HOST_TIMEOUT) from None
        except (aiohttp.ClientError, OSError):
            raise error(Code.HOST_FAILED, "the connection broke") from None
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            raise error(Code.HOST_FAILED, "not JSON") from None
        if response.status != 200:
            raise _refusal(data)
        return data

    def _completion(self, data: Any) -> Completion:
        try:
            [choice] = data["choices"]
            text = choice["message"]["content"] if self._api == "chat" else choice["text"]
            reason = choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise error(Code.HOST_FAILED, "not a completion") from None
        if not isinstance(text, str):
            raise error(Code.HOST_FAILED, "not a completion")
        return Completion(_without_surrogates(text), cut=reason == "length")


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise error(Code.HOST_FAILED, "the answer is too long")
    return bytes(body)


def _refusal(data: Any) -> EvaluatorError:
    """The code that a server names, where it is one that a server may name: it could not blame us with "lost"."""
    try:
        code = Code(data["error"]["code"])
    except (KeyError, TypeError, ValueError):
        code = Code.HOST_FAILED
    return error(code if code is Code.PROMPT_TOO_LONG or code.startswith("endpoint_") else Code.HOST_FAILED)


def _without_surrogates(text: str) -> str:
    """JSON can spell half a UTF-16 pair, which no file or socket takes: such halves become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
