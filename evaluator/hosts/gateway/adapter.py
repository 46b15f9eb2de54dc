"""What both adapters share: how one attempt is asked for, what an answer is made of, and how it is refused."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

from evaluator.errors import Code

MAX_BODY_BYTES = 4 << 20
"""A body longer than this is refused, as it was sent and as it is read."""
_LONGEST_NAME = 1000
_MOST_TOKENS = 1_000_000_000
_STATUSES = {
    401: Code.ENDPOINT_UNAUTHORIZED,
    403: Code.ENDPOINT_UNAUTHORIZED,
    404: Code.ENDPOINT_NOT_FOUND,
    408: Code.ENDPOINT_TIMEOUT,
    425: Code.ENDPOINT_RATE_LIMITED,
    429: Code.ENDPOINT_RATE_LIMITED,
}
_OVERLOADED = (503, 529)

Api = Literal["completions", "chat"]


class Refused(Exception):
    """One attempt failed with this code.

    ``retry_after`` is the header's text. ``overloaded`` says that asking more slowly might help, which is so of
    rate limits, time-outs and the statuses by which a server says that it has too much to do.
    """

    def __init__(self, code: Code, retry_after: str | None = None, *, overloaded: bool = False) -> None:
        super().__init__(code.value)
        self.code = code
        self.retry_after = retry_after
        self.overloaded = overloaded or code in (Code.ENDPOINT_RATE_LIMITED, Code.ENDPOINT_TIMEOUT)


class Adapter(Protocol):
    """One way to reach an endpoint."""

    async def open(self) -> None:
        """Check where it leads. Raises EvaluatorError."""

    async def close(self) -> None:
        """Close the connections."""

    async def ask_once(self, question: dict[str, Any]) -> dict[str, Any]:
        """One attempt. Returns our own completion object; raises Refused."""


def completion(text: object, reason: object, usage: object, api: Api, *, model: object = None) -> dict[str, Any]:
    """Our own object, rebuilt so that nothing else of an answer goes on. Raises Refused.

    ``model`` is what the endpoint says has answered, and goes on where it is a text of a sane length.

    A chat message whose content is null is an empty completion: some models spend all tokens on thinking.
    """
    if text is None and api == "chat":
        text = ""
    if not isinstance(text, str):
        raise Refused(Code.ENDPOINT_BAD_RESPONSE)
    content = {"message": {"role": "assistant", "content": text}} if api == "chat" else {"text": text}
    choice = {"index": 0, **content, "finish_reason": "length" if reason == "length" else "stop"}
    said = {"model": model} if isinstance(model, str) and len(model) <= _LONGEST_NAME else {}
    return {"choices": [choice], **said, **_usage(usage)}


def _usage(usage: object) -> dict[str, Any]:
    """The two counts, where both can be true. A prompt of no tokens is how some say that nobody counted."""
    if not isinstance(usage, dict):
        return {}
    counts = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
    if (
        not all(type(count) is int and 0 <= count <= _MOST_TOKENS for count in counts.values())
        or not counts["prompt_tokens"]
    ):
        return {}
    return {"usage": counts}


def judge(status: int, headers: Mapping[str, str]) -> None:
    """Refuse every answer but a plain 200. Raises Refused."""
    if status == 200:
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(Code.ENDPOINT_BAD_RESPONSE)
        return
    if 300 <= status < 400:
        raise Refused(Code.ENDPOINT_REDIRECTED)
    code = _STATUSES.get(status)
    if code is None:
        code = Code.ENDPOINT_ERROR if status >= 500 else Code.ENDPOINT_REJECTED
    raise Refused(code, headers.get("Retry-After"), overloaded=status in _OVERLOADED)
