"""Strict decoding of requests to a model server: OpenAI's JSON.

A request for something that a host cannot do is refused.
"""

import json
from typing import Any

from evaluator.hosts.batching import Request
from evaluator.hosts.templates import Messages

MAX_REQUEST_BYTES = 16 << 20
MAX_PROMPTS = 1024
MAX_TOKENS = 65_536
MAX_SAMPLES = 128
MAX_STOPS = 16
_ROLES = ("system", "user", "assistant")
_NEUTRAL = {"top_p": 1, "top_k": 0, "best_of": 1}
"""Parameters that no host of ours has, with the values that change nothing."""


class BadRequest(Exception):
    """A request that is not one of ours. The message is for a developer and quotes nothing."""


def read_request(body: bytes) -> list[Request]:
    """Return the requests of one completions request, ``n`` for each prompt. Raises BadRequest."""
    data = read_object(body)
    prompts = data.get("prompt")
    prompts = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(prompts, list) or not 0 < len(prompts) <= MAX_PROMPTS:
        raise BadRequest("prompt: a string or a list of them")
    if not all(isinstance(prompt, str) for prompt in prompts):
        raise BadRequest("prompt: a string or a list of them")
    special = data.get("add_special_tokens", True)
    if not isinstance(special, bool):
        raise BadRequest("add_special_tokens: true or false")
    if data.get("echo"):
        limit = _echo_limit(data)
        return [Request(prompt, limit, echo=True, special=special) for prompt in prompts]
    if data.get("logprobs") is not None:
        raise BadRequest("logprobs: with echo only")
    requests: list[Request] = []
    for prompt in prompts:
        requests += _samples(data, prompt, special=special)
    return requests


def read_chat(body: bytes) -> tuple[Messages, dict[str, Any]]:
    """Return the messages of a chat request, and the request. Raises BadRequest."""
    data = read_object(body)
    messages = data.get("messages")
    if not isinstance(messages, list) or not 0 < len(messages) <= MAX_PROMPTS:
        raise BadRequest("messages: a list of them")
    read: Messages = []
    for message in messages:
        match message:
            case {"role": str(role), "content": str(content)} if role in _ROLES:
                read.append({"role": role, "content": content})
            case _:
                raise BadRequest("messages: each with a role and a text")
    return read, data


def rendered(prompt: str, data: dict[str, Any]) -> list[Request]:
    """Return the requests for a rendered prompt, which has its special tokens.

    Raises BadRequest.
    """
    if data.get("echo") or data.get("logprobs"):
        raise BadRequest("logprobs: of completions only")
    limit = data.get("max_completion_tokens", data.get("max_tokens", MAX_TOKENS))
    return _samples({**data, "max_tokens": limit}, prompt, special=False)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request. Raises BadRequest."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("not JSON") from None
    if not isinstance(data, dict):
        raise BadRequest("not an object")
    return data


def _samples(
    data: dict[str, Any],
    prompt: str,
    *,
    special: bool,
) -> list[Request]:
    """Return ``n`` requests. Sample i has the seed ``seed`` + i, so it can be drawn again alone."""
    temperature = data.get("temperature")
    if temperature is None:
        temperature = 0.0
    if type(temperature) not in (int, float) or not 0 <= temperature <= 100:
        raise BadRequest("temperature: a number from 0 to 100")
    temperature = float(temperature)
    seed = _integer(data, "seed", range(1 << 62), "an integer from 0")
    valid = range(1, MAX_SAMPLES + 1)
    n = _integer(data, "n", valid, f"an integer from 1 to {MAX_SAMPLES}")
    for name, neutral in _NEUTRAL.items():
        if data.get(name) not in (None, neutral):
            raise BadRequest("top_p, top_k, best_of: this host draws from the whole distribution")
    limit = data.get("max_tokens", 16)
    if type(limit) is not int or not 0 < limit <= MAX_TOKENS:
        raise BadRequest("max_tokens: an integer above 0")
    stop = _stops(data.get("stop"))
    requests = []
    for i in range(1 if n is None else n):
        own_seed = None
        if seed is not None and temperature:
            own_seed = seed + i
        request = Request(prompt, limit, stop, temperature, own_seed, special=special)
        requests.append(request)
    return requests


def _integer(
    data: dict[str, Any],
    name: str,
    valid: range,
    wanted: str,
) -> int | None:
    """Return an optional integer; None where it is not given. Raises BadRequest."""
    value = data.get(name)
    if value is None:
        return None
    if type(value) is not int or value not in valid:
        raise BadRequest(f"{name}: {wanted}")
    return value


def _echo_limit(data: dict[str, Any]) -> int:
    limit = data.get("max_tokens", 0)
    several = data.get("n") not in (None, 1)
    if type(limit) is not int or limit not in (0, 1) or several:
        raise BadRequest("echo: max_tokens 0 or 1, one sample")
    return limit


def _stops(stop: Any) -> tuple[str, ...]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        raise BadRequest("stop: a string or a list of up to 16")
    if not all(isinstance(text, str) and text for text in stops):
        raise BadRequest("stop: a string or a list of up to 16")
    return tuple(stops)
