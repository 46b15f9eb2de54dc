"""The completion in an answer, rebuilt so that nothing else of the answer goes on.

Read: the first of several choices, content in parts, any finish reason, a null content whose tokens went into
thinking. A whole answer that stands in the reasoning field only is no completion and has a code of its own: whether
that text is an answer or a thought, nobody here can know.
"""

from typing import Any

from evaluator.contract import Reason
from evaluator.errors import Code
from evaluator.hosts.gateway.adapter import Api, Refused, bad_response

_LONGEST_NAME = 1000
_MOST_TOKENS = 1_000_000_000
_CUT = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
_FILTERED = frozenset(
    {"content_filter", "safety", "recitation", "prohibited_content", "blocklist", "refusal"}
)
_REASONING = ("reasoning_content", "reasoning", "thinking")
_OF_THOUGHT = frozenset({"thinking", "reasoning", "redacted_thinking", "reasoning_content"})


def read_completion(data: Any, api: Api) -> dict[str, Any]:
    """Return our own object for a decoded body. Raises Refused."""
    try:
        choice = _first(data["choices"])
        message = choice["message"] if api == "chat" else {}
        if api == "chat" and not any(
            name in message for name in ("content", "refusal", *_REASONING)
        ):
            raise bad_response()
        content = message.get("content") if api == "chat" else choice["text"]
        reason, usage, model = choice.get("finish_reason", ""), data.get("usage"), data.get("model")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise bad_response() from None
    return completion(content, reason, usage, api, model=model, message=message)


def simplified(data: Any) -> Any:
    """Return a decoded body with one choice and its content as a text, where it is of this API: a library wants both.

    A body of another API, or one that is no completion, is returned as it is.
    """
    try:
        choice = _first(data["choices"])
        message = choice["message"]
        content = message["content"]
        text, thought = _text(content, "chat")
    except (ValueError, KeyError, TypeError, AttributeError, Refused):
        return data
    if isinstance(content, list):
        message = {**message, "content": text or None}
        if thought and not text:
            message["reasoning_content"] = message.get("reasoning_content") or "thought"
        if _refusal(message, content):
            message["refusal"] = message.get("refusal") or "refusal"
    return {**data, "choices": [{**choice, "index": 0, "message": message}]}


def completion(
    content: object,
    reason: object,
    usage: object,
    api: Api,
    *,
    model: object = None,
    message: object = None,
) -> dict[str, Any]:
    """Return our own object. ``message`` is where a reasoning or a refusal may stand. Raises Refused.

    A finish reason of None says that the text did not end, so it counts as cut. ``model`` is what the endpoint says
    has answered, and goes on where it is a text of a sane length.
    """
    named = reason.lower() if isinstance(reason, str) else ""
    others = message if isinstance(message, dict) else {}
    text, thought = _text(content, api)
    empty = not text.strip()
    cut = named in _CUT or (reason is None and not empty)
    why: Reason | None = None
    if empty and not cut:
        if _refusal(others, content) or named in _FILTERED:
            why = "filtered"
        elif thought or any(_some(others.get(name)) for name in _REASONING):
            raise Refused(Code.ENDPOINT_REASONING_ONLY, reason="reasoning_only")
    body = {"message": {"role": "assistant", "content": text}} if api == "chat" else {"text": text}
    choice = {"index": 0, **body, "finish_reason": "length" if cut else "stop"}
    if why:
        choice["reason"] = why
    said = {"model": model} if isinstance(model, str) and len(model) <= _LONGEST_NAME else {}
    return {"choices": [choice], **said, **_usage(usage)}


def _first(choices: Any) -> Any:
    """The choice of the lowest index: one was asked for, and some send more."""
    if not isinstance(choices, list) or not choices:
        raise ValueError
    numbered = [one for one in choices if isinstance(one, dict) and one.get("index") == 0]
    return numbered[0] if numbered else choices[0]


def _text(content: object, api: Api) -> tuple[str, bool]:
    """The text of a content, and true where it holds thoughts beside. Raises Refused."""
    if content is None and api == "chat":
        return "", False
    if isinstance(content, str):
        return content, False
    if isinstance(content, dict) and api == "chat":
        content = [content]
    if not isinstance(content, list) or api != "chat":
        raise bad_response()
    texts, thought = [], False
    for part in content:
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, dict):
            raise bad_response()
        elif part.get("type") in _OF_THOUGHT or part.get("thought") is True:
            thought = True
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif part.get("type") != "refusal":
            raise bad_response()
    return "".join(texts), thought


def _refusal(message: dict[str, Any], content: object) -> bool:
    """The model's own refusal, in the field that some APIs have for it or as a part of the content."""
    parts = content if isinstance(content, list) else []
    in_parts = any(isinstance(part, dict) and part.get("type") == "refusal" for part in parts)
    return in_parts or _some(message.get("refusal"))


def _some(value: object) -> bool:
    return bool(value.strip()) if isinstance(value, str) else bool(value)


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
