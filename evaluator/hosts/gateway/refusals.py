"""Refusal of an endpoint as one of our codes.

Providers word the same refusal in many ways. Statuses, error codes and messages are compared with
the patterns here, and none of their text is passed on: a parameter is named only where it is one
that we sent.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from evaluator.contract import Reason
from evaluator.errors import Code
from evaluator.hosts.gateway.adapter import Refused, bad_response
from evaluator.hosts.gateway.bodies import decoded

_OVERLOADED = (503, 529)
_BY_STATUS = {
    401: Code.ENDPOINT_UNAUTHORIZED,
    402: Code.ENDPOINT_NO_CREDIT,
    403: Code.ENDPOINT_UNAUTHORIZED,
    404: Code.ENDPOINT_NOT_FOUND,
    408: Code.ENDPOINT_TIMEOUT,
    413: Code.PROMPT_TOO_LONG,
    425: Code.ENDPOINT_RATE_LIMITED,
    429: Code.ENDPOINT_RATE_LIMITED,
    451: Code.ENDPOINT_REFUSES_ITEMS,
}
_REASONS: dict[Code, Reason] = {
    Code.ENDPOINT_REFUSES_ITEMS: "filtered",
    Code.PROMPT_TOO_LONG: "too_long",
    Code.ENDPOINT_BAD_RESPONSE: "bad_response",
}
_NEVER_AN_ITEM = frozenset(
    {
        Code.ENDPOINT_NO_CREDIT,
        Code.ENDPOINT_RATE_LIMITED,
        Code.ENDPOINT_TIMEOUT,
        Code.ENDPOINT_ERROR,
        Code.ENDPOINT_UNREACHABLE,
    }
)
_NO_CREDIT = re.compile(
    r"insufficient.?(quota|credit|balance|funds)|billing_hard_limit|billing_not_active"
    r"|exceeded your current quota|out of credits|no credits? (left|remaining)"
    r"|credit balance is too low",
    re.IGNORECASE,
)
_OF_THE_KEY = re.compile(
    r"invalid.?(api.?)?key|incorrect api key|api key (not valid|expired)|account_deactivated",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content.?(filter|polic|management)|moderation|flagged|responsible.?ai"
    r"|safety (system|filter|settings)|usage.?polic|prohibited.?content|invalid_prompt"
    r"|sensitive.?(content|words)|data_inspection_failed",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|(prompt|input|request).{0,20} (is )?too (long|large)"
    r"|too many (input )?tokens|(maximum|max) (prompt|input|sequence) (length|tokens)"
    r"|input token count|string_above_max_length",
    re.IGNORECASE,
)
_TOO_MANY = re.compile(
    r"too (large|high|big|many)|at most|maximum|less than|exceed|<=|upper limit"
    r"|out of range|between",
    re.IGNORECASE,
)
_STREAM = re.compile(
    r"stream\W{0,3}(must|needs? to|has to|should) be|only supports? stream"
    r"|support\w* stream\w* only"
    r"|(require|enable|need|use|set)s? .{0,20}stream|non.?stream\w* .{0,30}(not|un)",
    re.IGNORECASE,
)
_PARAMETERS = {
    "max_completion_tokens": Code.ENDPOINT_NO_MAX_COMPLETION_TOKENS,
    "max_tokens": Code.ENDPOINT_NO_MAX_TOKENS,
    "temperature": Code.ENDPOINT_NO_TEMPERATURE,
    "stop": Code.ENDPOINT_NO_STOP,
    "seed": Code.ENDPOINT_NO_SEED,
}
_LIMITS = ("max_completion_tokens", "max_tokens")
_OTHER_NAME = re.compile(r"n[o']t support\w* (with|for|by)|instead", re.IGNORECASE)
_REFUSING = (
    r"(un(supported|known|recogni[sz]ed|expected)|not (supported|allowed|permitted|accepted)"
    r"|n[o']t support|invalid|too (large|high|big|many)|at most|must be|maximum|exceed"
    r"|deprecated|instead|extra)"
)
"""Words without which the name of a parameter in a message means nothing.

It may be our own request, repeated.
"""
_COMPARED = ("code", "type", "param", "message", "status")
"""Fields of an error whose texts are compared."""
_LONGEST_TEXT = 20_000


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    sent: Collection[str],
) -> Refused:
    """Return the refusal of a status other than 2xx. ``sent`` are the names of the sent fields."""
    if 300 <= status < 400:
        return Refused(Code.ENDPOINT_REDIRECTED, reason="refused")
    try:
        problem = _problem(decoded(body))
    except (ValueError, RecursionError):
        problem = {}
    return _refused(status, headers.get("Retry-After"), problem, sent)


def refusal_in_answer(data: Any, sent: Collection[str]) -> Refused | None:
    """Return the refusal that a 200 holds instead of a completion, None where it holds none.

    Where its code is a status, as with some routers, that status counts; any other is taken for
    passing.
    """
    if not isinstance(data, dict):
        return None
    if data.get("choices") or not data.get("error"):
        return None
    problem = _problem(data)
    status = problem.get("code", problem.get("status"))
    if isinstance(status, str) and re.fullmatch("[0-9]{3}", status):
        status = int(status)
    if type(status) is int and 400 <= status < 600:
        return _refused(status, None, problem, sent)
    text = _text(problem)
    if _NO_CREDIT.search(text):
        return Refused(Code.ENDPOINT_NO_CREDIT)
    if _FILTERED.search(text):
        return Refused(Code.ENDPOINT_REFUSES_ITEMS, reason="filtered")
    return bad_response()


def refusal_of_library(status: int, message: str, sent: Collection[str]) -> Refused:
    """Return the refusal of a request by the library that would have sent it."""
    problem = {"message": message[:_LONGEST_TEXT]}
    return _refused(status, None, problem, sent)


def _refused(
    status: int,
    retry_after: str | None,
    problem: Mapping[str, Any],
    sent: Collection[str],
) -> Refused:
    text = _text(problem)
    code = _code(status, problem, text, sent)
    names_key = status == 401 or _OF_THE_KEY.search(text) is not None
    about_key = code is Code.ENDPOINT_UNAUTHORIZED and names_key
    reason = None if code in _NEVER_AN_ITEM else _REASONS.get(code, "refused")
    return Refused(
        code,
        retry_after,
        overloaded=status in _OVERLOADED,
        reason=reason,
        about_key=about_key,
    )


def _code(
    status: int,
    problem: Mapping[str, Any],
    text: str,
    sent: Collection[str],
) -> Code:
    if status in (402, 403, 429) and _NO_CREDIT.search(text):
        return Code.ENDPOINT_NO_CREDIT
    metadata = problem.get("metadata")
    was_flagged = isinstance(metadata, dict) and (
        "flagged_input" in metadata or "reasons" in metadata
    )
    if status in (400, 403, 422) and (_FILTERED.search(text) or was_flagged):
        return Code.ENDPOINT_REFUSES_ITEMS
    if status in (400, 413, 422):
        named = _of_request(problem, text, sent)
        return named or _BY_STATUS.get(status, Code.ENDPOINT_REJECTED)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Code.ENDPOINT_ERROR if status >= 500 else Code.ENDPOINT_REJECTED


def _of_request(
    problem: Mapping[str, Any],
    text: str,
    sent: Collection[str],
) -> Code | None:
    """Return the code for the refused part of a request; None where none is named."""
    for pattern, code in (
        (_OF_THE_KEY, Code.ENDPOINT_UNAUTHORIZED),
        (_NO_CREDIT, Code.ENDPOINT_NO_CREDIT),
        (_TOO_LONG, Code.PROMPT_TOO_LONG),
        (_STREAM, Code.ENDPOINT_STREAM_ONLY),
    ):
        if pattern.search(text):
            return code
    if problem.get("param") == "stream":
        return Code.ENDPOINT_STREAM_ONLY
    name = _parameter(problem, text, sent)
    if name in _LIMITS and _TOO_MANY.search(text) and not _OTHER_NAME.search(text):
        return Code.ENDPOINT_OUTPUT_LIMIT
    if name is None:
        return None
    return _PARAMETERS[name]


def _parameter(
    problem: Mapping[str, Any],
    text: str,
    sent: Collection[str],
) -> str | None:
    """Return the parameter that a refusal names, if we sent it.

    Its own field decides, then the first name in its text.
    """
    named = problem.get("param")
    if isinstance(named, str) and named in sent and named in _PARAMETERS:
        return named
    places = {}
    for name in _PARAMETERS:
        plain = rf"(?<![A-Za-z_]){name}(?![A-Za-z_])"
        match = re.search(
            rf"{plain}.{{0,80}}?{_REFUSING}|{_REFUSING}.{{0,80}}?{plain}",
            text,
            re.IGNORECASE | re.DOTALL,
        )
        if name in sent and match:
            places[name] = text.find(name)
    if not places:
        return None
    return min(places, key=lambda name: places[name])


def _problem(data: Any) -> dict[str, Any]:
    """Return the object that describes the error, wherever the provider puts it."""
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return {}
    for name in ("error", "detail"):
        inner = data.get(name)
        if isinstance(inner, dict):
            return inner
        if isinstance(inner, str):
            return {**data, "message": inner}
    return data


def _text(problem: Mapping[str, Any]) -> str:
    """Return all texts that are compared, as one text within a bound."""
    inner = problem.get("innererror")
    parts = [problem.get(name) for name in _COMPARED]
    if isinstance(inner, dict):
        parts.append(inner.get("code"))
    texts = [part[:_LONGEST_TEXT] for part in parts if isinstance(part, str)]
    return " ".join(texts)
