"""The client of every model server: an OpenAI-compatible API on a Unix socket.

What answers may be a stranger's program, so its answer is read up to a bound, and decoded strictly. Its
text is never quoted in an error.
"""

import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from evaluator.backends.interface import (
    Completion,
    ItemRefused,
    Reading,
    Sampling,
    Served,
    Usage,
    before_stop,
)
from evaluator.backends.returned import MOST, told
from evaluator.contract import Reason
from evaluator.errors import Code, EvaluatorError, error, host_error, is_host_error

if TYPE_CHECKING:
    import aiohttp

MAX_ANSWER_BYTES = 8 << 20
"""An answer longer than this is refused: no completion of a few thousand tokens comes near."""
_MOST_TOKENS = 1_000_000_000


_SAYABLE = frozenset(
    {Code.PROMPT_TOO_LONG, Code.CHECKPOINT_BAD_TEMPLATE, Code.ENGINE_OOM, Code.BUDGET_SPENT}
)
"""What a model server may say of itself, beside an endpoint's codes."""


class HttpBackend:
    """Asks the server behind ``socket``. An async context manager, which closes its connections at the end.

    ``seconds`` bounds one request as a whole; it is generous, since a server may queue what it is sent and
    the gateway retries by itself. ``longest`` is the server's context, where it takes no larger ``max_tokens``;
    ``served`` says what answers, where that is known; ``returned`` holds the names that it gave itself, see ``told``.
    """

    def __init__(
        self,
        socket: Path,
        *,
        model: str,
        api: Literal["completions", "chat"] = "completions",
        seconds: float = 1800,
        longest: int | None = None,
        served: Served | None = None,
    ) -> None:
        self.served = served or Served()
        self.returned: set[str] = set()
        self._longest = longest
        self.socket = socket
        self._model = model
        self._api = api
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None
        self._broken: tuple[type[Exception], ...] = (OSError,)

    @property
    def engine(self) -> str:
        """What answers, with its version; empty where that is not known."""
        return self.served.engine

    async def __aenter__(self) -> Self:
        # Imported here: it takes a fifth of a second, in which the server that will be asked starts as well.
        import aiohttp  # noqa: PLC0415

        self._broken = (aiohttp.ClientError, OSError)
        self._session = aiohttp.ClientSession(
            "http://model",
            connector=aiohttp.UnixConnector(path=str(self.socket), limit=0),
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
        """Continue ``prompt``. Raises HOST_FAILED, HOST_TIMEOUT or the code that the server answered with."""
        path, question = self._question(prompt)
        request: dict[str, Any] = {
            "model": self._model,
            **question,
            sampling.limit: self.room(sampling.max_tokens),
        }
        if sampling.temperature is not None:
            request["temperature"] = sampling.temperature
        if sampling.stop and sampling.stops == "sent":  # some APIs refuse an empty list
            request["stop"] = list(sampling.stop)
        if sampling.bos == "never":
            request["add_special_tokens"] = False  # vLLM's name for it, and our Transformers host's
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        return self._completion(await self._ask("POST", path, request), sampling)

    async def waiting(self) -> bool:
        """Return true if the server is a gateway whose endpoint answers nothing at present."""
        try:
            status, body = await self._exchange("GET", "/state", None)
            return status == 200 and _decoded(body)["waiting"] is True
        except (EvaluatorError, KeyError, TypeError):
            return False

    def room(self, max_tokens: int) -> int:
        """How many tokens the server may be asked for, where ``max_tokens`` are wanted."""
        return min(max_tokens, self._longest or max_tokens)

    async def read(self, text: str) -> Reading:
        """Read ``text``. Raises as ``complete`` does."""
        request = {
            "model": self._model,
            "prompt": text,
            "max_tokens": 0,
            "temperature": 0,
            "echo": True,
            "logprobs": 0,
        }
        data = await self._ask("POST", "/v1/completions", request)
        try:
            [choice] = data["choices"]
            found = choice["logprobs"]
            tokens, logprobs = tuple(found["tokens"]), tuple(found["token_logprobs"])
        except (KeyError, TypeError, ValueError):
            raise error(Code.HOST_FAILED, "not a reading") from None
        if not all(isinstance(token, str) for token in tokens):
            raise error(Code.HOST_FAILED, "not a reading")
        if not all(value is None or isinstance(value, float | int) for value in logprobs):
            raise error(Code.HOST_FAILED, "not a reading")
        return Reading(tokens, tuple(None if value is None else float(value) for value in logprobs))

    async def ready(self) -> None:
        """Wait until the server says that it is. Raises the code that it answers with, or as above."""
        status, body = await self._exchange("GET", "/health", None)
        if status != 200:
            raise _refusal(_decoded(body))

    def _question(self, prompt: str) -> tuple[str, dict[str, Any]]:
        if self._api == "chat":
            return "/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}
        return "/v1/completions", {"prompt": prompt}

    async def _ask(self, method: str, path: str, request: dict[str, Any] | None) -> Any:
        status, body = await self._exchange(method, path, request)
        data = _decoded(body)
        if status != 200:
            raise _refusal(data)
        return data

    async def _exchange(
        self, method: str, path: str, request: dict[str, Any] | None
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise error(Code.INTERNAL, "the backend is not open")
        try:
            async with self._session.request(
                method, path, json=request, allow_redirects=False
            ) as response:
                return response.status, await _read(response)
        except TimeoutError:
            raise error(Code.HOST_TIMEOUT) from None
        except self._broken as problem:
            if isinstance(problem, OSError) and is_host_error(problem):
                raise host_error(problem, "no connection can be made") from None
            raise error(Code.HOST_FAILED, "the connection broke") from None

    def _completion(self, data: Any, sampling: Sampling) -> Completion:
        """The text of an answer up to the first stop string: a server may have ignored those that it was sent."""
        try:
            [choice] = data["choices"]
            text = choice["message"]["content"] if self._api == "chat" else choice["text"]
            reason = choice.get("finish_reason")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError):
            raise error(Code.HOST_FAILED, "not a completion") from None
        if not isinstance(text, str):
            raise error(Code.HOST_FAILED, "not a completion")
        said = data.get("model")
        if isinstance(said, str) and len(self.returned) < MOST:
            self.returned.add(told(self._model, said))
        ended = before_stop(text, sampling.stop)
        cut = reason == "length" and ended is None
        text = _without_surrogates(text if ended is None else ended)
        return Completion(text, cut=cut, usage=_usage(data), reason=_reason(choice.get("reason")))


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise error(Code.HOST_FAILED, "not JSON") from None


async def _read(response: "aiohttp.ClientResponse") -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise error(Code.HOST_FAILED, "the answer is too long")
    return bytes(body)


def _usage(data: Any) -> Usage:
    """The two counts, or zeros where they are none."""
    try:
        counts = data["usage"]["prompt_tokens"], data["usage"]["completion_tokens"]
    except (KeyError, TypeError):
        return Usage()
    return (
        Usage(*counts)
        if all(type(count) is int and 0 <= count <= _MOST_TOKENS for count in counts)
        else Usage()
    )


def _refusal(data: Any) -> EvaluatorError:
    """The code that a server names, where it is one that a server may name: it could not blame us with "lost".

    With a reason it is about one item only.
    """
    reason = None
    try:
        reason = _reason(data["error"].get("reason"))
        if data["error"].get("param") in ("input_tokens", "input_text"):  # vLLM's way to say so
            return error(Code.PROMPT_TOO_LONG)
        code = Code(data["error"]["code"])
    except (KeyError, TypeError, ValueError, AttributeError):
        code = Code.HOST_FAILED
    if not (code in _SAYABLE or code.startswith("endpoint_")):
        return error(Code.HOST_FAILED)
    return error(code) if reason is None else ItemRefused(code, reason)


def _reason(value: object) -> Reason | None:
    """The reason that a gateway names, where it is one."""
    return next((reason for reason in get_args(Reason) if reason == value), None)


def _without_surrogates(text: str) -> str:
    """JSON can spell half a UTF-16 pair, which no file or socket takes: such halves become U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
