"""Completion in an answer, rebuilt so that nothing else of the answer is passed on.

Accepted: the first of several choices, content in parts, any finish reason, a null content whose
tokens went into thinking. A whole answer that stands in the reasoning field only is no completion
and has a code of its own: nothing shows if that text is an answer or a thought.
"""

from typing import Any

from evaluator.errors import Code
from evaluator.hosts.gateway.adapter import Api, Refused, bad_response

_MAX_NAME = 1000
_MAX_TOKENS = 1_000_000_000
_CUT = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
)
_FILTERED = frozenset(
    {"content_filter", "safety", "recitation", "prohibited_content", "blocklist", "refusal"}
)
_REASONING = ("reasoning_content", "reasoning", "thinking")
_MESSAGE_FIELDS = ("content", "refusal", *_REASONING)
_OF_THOUGHT = frozenset({"thinking", "reasoning", "redacted_thinking", "reasoning_content"})


def read_completion(data: Any, api: Api) -> dict[str, Any]:
    """Return our own object for a decoded body. Raises Refused."""
    try:
        choice = _first(data["choices"])
        message = choice["message"] if api == "chat" else {}
        content = message.get("content") if api == "chat" else choice["text"]
        reason = choice.get("finish_reason", "")
        usage = data.get("usage")
        model = data.get("model")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise bad_response() from None
    if api == "chat" and not any(field in message for field in _MESSAGE_FIELDS):
        raise bad_response()
    return completion(content, reason, usage, api, model=model, message=message)


def simplified(data: Any) -> Any:
    """Return a decoded body with one choice and its content as text: a library wants both.

    A body of another API, or one that is no completion, is returned as it is.
    """
    try:
        choice = _first(data["choices"])
        message = choice["message"]
        content = message["content"]
        text, has_thoughts = _text(content, "chat")
    except (ValueError, KeyError, TypeError, AttributeError, Refused):
        return data
    if isinstance(content, list):
        message = {**message, "content": text or None}
        if has_thoughts and not text:
            message["reasoning_content"] = message.get("reasoning_content") or "thought"
        if _is_refusal(message, content):
            message["refusal"] = message.get("refusal") or "refusal"
    first = {**choice, "index": 0, "message": message}
    return {**data, "choices": [first]}


def completion(
    content: object,
    reason: object,
    usage: object,
    api: Api,
    *,
    model: object = None,
    message: object = None,
) -> dict[str, Any]:
    """Return our own object. ``message`` may hold a reasoning or a refusal. Raises Refused.

    A finish reason of None means that the text did not end, so it counts as cut. ``model`` is the
    name that the endpoint returns, and is passed on where it is a text of a sane length.
    """
    text, has_thoughts = _text(content, api)
    finish = reason.lower() if isinstance(reason, str) else ""
    is_empty = not text.strip()
    cut = finish in _CUT or (reason is None and not is_empty)
    choice = _choice(text, api, cut=cut)
    if is_empty and not cut:
        fields = message if isinstance(message, dict) else {}
        if _is_refusal(fields, content) or finish in _FILTERED:
            choice["reason"] = "filtered"
        elif has_thoughts or _has_reasoning(fields):
            raise Refused(Code.ENDPOINT_REASONING_ONLY, reason="reasoning_only")
    answer = {"choices": [choice], **_usage(usage)}
    if _is_name(model):
        answer["model"] = model
    return answer


def _is_name(model: object) -> bool:
    return isinstance(model, str) and len(model) <= _MAX_NAME


def _choice(
    text: str,
    api: Api,
    *,
    cut: bool,
) -> dict[str, Any]:
    reason = "length" if cut else "stop"
    choice: dict[str, Any] = {"index": 0, "finish_reason": reason}
    if api == "chat":
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice["text"] = text
    return choice


def _has_reasoning(message: dict[str, Any]) -> bool:
    return any(_is_set(message.get(name)) for name in _REASONING)


def _first(choices: Any) -> Any:
    """Return the choice of index 0: one was asked for, and some endpoints send more."""
    if not isinstance(choices, list) or not choices:
        raise ValueError
    for choice in choices:
        if isinstance(choice, dict) and choice.get("index") == 0:
            return choice
    return choices[0]


def _text(content: object, api: Api) -> tuple[str, bool]:
    """Return the text of a content, and true where it holds thoughts as well. Raises Refused."""
    if isinstance(content, str):
        return content, False
    if api != "chat":
        raise bad_response()
    if content is None:
        return "", False
    parts = [content] if isinstance(content, dict) else content
    if not isinstance(parts, list):
        raise bad_response()
    thoughts = [part for part in parts if _is_thought(part)]
    texts = [_part_text(part) for part in parts if not _is_thought(part)]
    return "".join(texts), bool(thoughts)


def _is_thought(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    if isinstance(kind, str) and kind in _OF_THOUGHT:
        return True
    return part.get("thought") is True


def _part_text(part: object) -> str:
    """Return the text of one part, "" for a refusal. Raises Refused for any other part."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        text = part.get("text")
        if isinstance(text, str):
            return text
        if part.get("type") == "refusal":
            return ""
    raise bad_response()


def _is_refusal(message: dict[str, Any], content: object) -> bool:
    """Return true for the model's own refusal, in its field or as a part of the content."""
    parts = content if isinstance(content, list) else []
    for part in parts:
        if isinstance(part, dict) and part.get("type") == "refusal":
            return True
    return _is_set(message.get("refusal"))


def _is_set(value: object) -> bool:
    if isinstance(value, str):
        value = value.strip()
    return bool(value)


def _usage(usage: object) -> dict[str, Any]:
    """Return the two counts, where both can be true.

    A prompt of no tokens is how some endpoints report that they did not count.
    """
    if not isinstance(usage, dict):
        return {}
    prompt = usage.get("prompt_tokens")
    written = usage.get("completion_tokens")
    are_counts = _is_count(prompt) and _is_count(written)
    if not are_counts or prompt == 0:
        return {}
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": written}}


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_TOKENS
