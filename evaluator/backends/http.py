"""Client of every model server: an OpenAI-compatible API on a Unix socket.

The server may run hostile code. So its answer is read up to a bound and decoded strictly, and its
text is never quoted in an error.
"""

import json
from math import nan
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from evaluator.backends.interface import (
    Completion,
    ItemRefused,
    Reading,
    Sampling,
    Score,
    Served,
    Usage,
    before_stop,
)
from evaluator.backends.model_names import MAX_NAMES, publishable_name
from evaluator.contract import Reason
from evaluator.errors import Code, EvaluatorError, error, host_error, is_host_error

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER_BYTES = 8 << 20
"""Longest answer that is read: no completion of a few thousand tokens comes near."""
_MAX_TOKENS = 1_000_000_000


_SERVER_CODES = frozenset(
    {Code.PROMPT_TOO_LONG, Code.CHECKPOINT_BAD_TEMPLATE, Code.ENGINE_OOM, Code.BUDGET_SPENT}
)
"""Codes that a model server may return, besides those of an endpoint."""


class HttpBackend:
    """Client of the server behind ``socket``. An async context manager that closes its connections.

    - ``seconds`` bounds one request as a whole. It is generous: a server may queue requests, and
      the gateway retries by itself.
    - ``context`` is the server's context length, where it accepts no larger ``max_tokens``.
    - ``served`` describes the server, where that is known.
    - ``returned`` collects the model names in the answers, see ``publishable_name``.
    """

    def __init__(
        self,
        socket: Path,
        *,
        model: str,
        api: Literal["completions", "chat"] = "completions",
        seconds: float = 1800,
        context: int | None = None,
        served: Served | None = None,
    ) -> None:
        self.served = served or Served()
        self.returned: set[str] = set()
        self._context = context
        self.socket = socket
        self._model = model
        self._api = api
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._connection_errors: tuple[type[Exception], ...] = (OSError,)

    @property
    def engine(self) -> str:
        """Engine of the server with its version; empty where that is not known."""
        return self.served.engine

    async def __aenter__(self) -> Self:
        # The import takes a fifth of a second, in which the server starts as well.
        import aiohttp  # noqa: PLC0415

        self._connection_errors = (aiohttp.ClientError, OSError)
        self._session = aiohttp.ClientSession(
            "http://model",
            # A connection for each request: no answer is taken for that of another question.
            connector=aiohttp.UnixConnector(path=str(self.socket), limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """Continue ``prompt``. Raises HOST_FAILED, HOST_TIMEOUT or the server's own code."""
        if self._api == "chat":
            path = "/v1/chat/completions"
            message = {"role": "user", "content": prompt}
            request: dict[str, Any] = {"messages": [message]}
        else:
            path = "/v1/completions"
            request = {"prompt": prompt}
        request["model"] = self._model
        request[sampling.limit] = self.token_limit(sampling.max_tokens)
        if sampling.temperature is not None:
            request["temperature"] = sampling.temperature
        if sampling.stop and sampling.stops == "sent":  # some APIs refuse an empty list
            request["stop"] = list(sampling.stop)
        if sampling.bos == "never":
            request["add_special_tokens"] = False  # vLLM's name for it, and our Transformers host's
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        data = await self._post(path, request)
        return self._completion(data, sampling)

    async def waiting(self) -> bool:
        """Return true if the server is a gateway whose endpoint answers nothing at present."""
        try:
            status, body = await self._exchange("GET", "/state", None)
            return status == 200 and _decoded(body)["waiting"] is True
        except (EvaluatorError, KeyError, TypeError):
            return False

    def token_limit(self, max_tokens: int) -> int:
        """Return ``max_tokens``, or the server's context length if that is less."""
        return min(max_tokens, self._context or max_tokens)

    async def read(self, text: str) -> Reading:
        """Score ``text``. Raises as ``complete`` does."""
        request = {
            "model": self._model,
            "prompt": text,
            "max_tokens": 0,
            "temperature": 0,
            "echo": True,
            "logprobs": 0,
        }
        data = await self._post("/v1/completions", request)
        try:
            [choice] = data["choices"]
            scores = choice["logprobs"]
            tokens = tuple(scores["tokens"])
            values = tuple(scores["token_logprobs"])
        except (KeyError, TypeError, ValueError):
            raise error(Code.HOST_FAILED, "not a reading") from None
        if not all(isinstance(token, str) for token in tokens):
            raise error(Code.HOST_FAILED, "not a reading")
        if not all(isinstance(value, float | int | None) for value in values):
            raise error(Code.HOST_FAILED, "not a reading")
        logprobs = [None if value is None else float(value) for value in values]
        return Reading(tokens, tuple(logprobs))

    async def score(
        self,
        text: str,
        *,
        question: str,
        answer: str,
    ) -> Score:
        """Score a candidate. Raises as ``complete`` does."""
        request = {"text": text, "question": question, "answer": answer}
        data = await self._post("/v1/score", request)
        try:
            value = data["score"]
        except (KeyError, TypeError):
            raise error(Code.HOST_FAILED, "not a score") from None
        usage = _usage(data) or Usage()
        if value is None:
            return Score(nan, usage.tokens_in)
        if not isinstance(value, float | int) or not 0 <= value <= 1:
            raise error(Code.HOST_FAILED, "not a score")
        return Score(float(value), usage.tokens_in)

    async def ready(self) -> None:
        """Wait until the server reports that it is healthy. Raises its code, or as ``complete``."""
        status, body = await self._exchange("GET", "/health", None)
        if status != 200:
            raise _refusal(_decoded(body))

    async def _post(self, path: str, request: dict[str, Any]) -> Any:
        status, body = await self._exchange("POST", path, request)
        data = _decoded(body)
        if status != 200:
            raise _refusal(data)
        return data

    async def _exchange(
        self,
        method: str,
        path: str,
        request: dict[str, Any] | None,
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise error(Code.INTERNAL, "the backend is not open")
        try:
            async with self._session.request(
                method, path, json=request, allow_redirects=False
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        response.close()
                        raise error(Code.HOST_FAILED, "the answer is too long")
                return response.status, bytes(body)
        except TimeoutError:
            raise error(Code.HOST_TIMEOUT) from None
        except self._connection_errors as problem:
            if isinstance(problem, OSError) and is_host_error(problem):
                raise host_error(problem, "no connection can be made") from None
            raise error(Code.HOST_FAILED, "the connection broke") from None

    def _completion(self, data: Any, sampling: Sampling) -> Completion:
        """Return the text up to the first stop string: a server may have ignored the ones sent."""
        try:
            [choice] = data["choices"]
            text = choice["message"]["content"] if self._api == "chat" else choice["text"]
            reason = choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise error(Code.HOST_FAILED, "not a completion") from None
        if not isinstance(text, str):
            raise error(Code.HOST_FAILED, "not a completion")
        name = data.get("model")
        if isinstance(name, str) and len(self.returned) < MAX_NAMES:
            self.returned.add(publishable_name(self._model, name))
        stopped = before_stop(text, sampling.stop)
        cut = reason == "length" and stopped is None
        if stopped is not None:
            text = stopped
        # JSON can spell half UTF-16 pairs, which no file or socket takes: they become U+FFFD.
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return Completion(
            text,
            cut=cut,
            usage=_usage(data),
            reason=_reason(choice.get("reason")),
        )


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise error(Code.HOST_FAILED, "not JSON") from None


def _usage(data: Any) -> Usage | None:
    """Return the two counts, None where the server sent none that can be true."""
    try:
        counts = (data["usage"]["prompt_tokens"], data["usage"]["completion_tokens"])
    except (KeyError, TypeError):
        return None
    for count in counts:
        if type(count) is not int or not 0 <= count <= _MAX_TOKENS:
            return None
    return Usage(*counts)


def _refusal(data: Any) -> EvaluatorError:
    """Return the error that a server names, if a server may name it: it cannot claim "lost".

    With a reason it is about one item only.
    """
    reason = None
    try:
        reason = _reason(data["error"].get("reason"))
        if data["error"].get("param") in ("input_tokens", "input_text"):  # sent by vLLM
            return error(Code.PROMPT_TOO_LONG)
        code = Code(data["error"]["code"])
    except (KeyError, TypeError, ValueError, AttributeError):
        code = Code.HOST_FAILED
    if not (code in _SERVER_CODES or code.startswith("endpoint_")):
        return error(Code.HOST_FAILED)
    return error(code) if reason is None else ItemRefused(code, reason)


def _reason(value: object) -> Reason | None:
    """Return ``value`` if it is one of the gateway's reasons."""
    return next((reason for reason in get_args(Reason) if reason == value), None)
