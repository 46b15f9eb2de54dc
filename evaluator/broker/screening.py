"""Screening of raw messages, before any library takes them apart.

kombu decodes messages inside its event loop, and Celery takes the result apart with few checks: a
writer to the broker could end every worker with one byte. So each message is read here first:

- its size is bounded;
- its envelope is JSON of the one form that this project sends, and only those fields are passed on;
- its body is a task's arguments, JSON as the standard has it, no deeper than a message of ours.
"""

import base64
import json
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from kombu.utils.json import loads
from msgspec import Meta

MAX_MESSAGE_BYTES = 8 << 20
"""Bytes of the longest message that is read.

A job over a million items and the largest group of outcomes stay below 1 MiB.
"""
MAX_DEPTH = 32

_Plain = Annotated[str, Meta(pattern=r"\A[\x20-\x7e]{0,200}\Z")]
_Name = Annotated[str, Meta(pattern=r"\A[\x21-\x7e]{1,200}\Z")]


class Undecodable(Exception):
    """A message that is none of ours. ``reason`` is a fixed word, never a part of the message."""

    def __init__(self, reason: Literal["size", "encoding", "json", "envelope", "body"]) -> None:
        super().__init__(reason)
        self.reason = reason


class _Record(msgspec.Struct, omit_defaults=True):
    """Base of the parts of an envelope. Fields that are not named are dropped."""


class _DeliveryInfo(_Record):
    exchange: _Plain = ""
    routing_key: _Plain = ""
    priority: Annotated[int, Meta(ge=0, le=9)] = 0
    redelivered: bool | None = None


class _Properties(_Record):
    delivery_tag: _Name
    delivery_info: _DeliveryInfo
    body_encoding: Literal["base64"]
    delivery_mode: Literal[1, 2] = 2
    priority: Annotated[int, Meta(ge=0, le=9)] = 0
    correlation_id: _Plain | None = None
    reply_to: _Plain | None = None


class _Headers(_Record):
    task: _Name
    id: _Name
    lang: _Plain = "py"
    root_id: _Plain | None = None
    parent_id: _Plain | None = None
    eta: _Plain | None = None
    expires: _Plain | None = None
    retries: Annotated[int, Meta(ge=0, le=1_000_000)] | None = 0
    origin: _Plain | None = None
    redelivered: bool | None = None


class _Envelope(
    _Record, rename={"content_type": "content-type", "content_encoding": "content-encoding"}
):
    body: str
    headers: _Headers
    properties: _Properties
    content_type: Literal["application/json"]
    content_encoding: Literal["utf-8"]


_Body = tuple[list[Any], dict[str, Any], dict[str, None] | None]
"""Positional arguments, named ones, and the tasks to call next: none."""


def screen(raw: bytes) -> dict[str, Any]:
    """Return the message in ``raw``, rebuilt from the known fields. Raises :class:`Undecodable`."""
    if len(raw) > MAX_MESSAGE_BYTES:
        raise Undecodable("size")
    data = _decoded(raw)
    try:
        envelope = msgspec.convert(data, _Envelope, strict=True)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        raise Undecodable("envelope") from None
    _check_body(envelope.body)
    headers: dict[str, Any] = {}
    for name in _Headers.__struct_fields__:
        headers[name] = getattr(envelope.headers, name)
    message: dict[str, Any] = msgspec.to_builtins(envelope)
    message["headers"] = headers
    message["properties"].setdefault("priority", 0)
    message["properties"].setdefault("delivery_mode", 2)
    info = message["properties"]["delivery_info"]
    message["properties"]["delivery_info"] = {"exchange": "", "routing_key": "", **info}
    return message


def _check_body(text: str) -> None:
    """Raise unless a worker can decode the body into a task's arguments."""
    try:
        body = base64.b64decode(text, validate=True)
    except ValueError:
        raise Undecodable("body") from None
    data = _decoded(body)
    if _too_deep(data):
        raise Undecodable("body")
    try:
        msgspec.convert(data, _Body, strict=True)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        raise Undecodable("body") from None


def _decoded(raw: bytes) -> Any:
    """Decode JSON as kombu will, and more strictly: UTF-8 only, no NaN."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Undecodable("encoding") from None
    try:
        return loads(text, _loads=partial(json.loads, parse_constant=_no_constant))
    except Exception:  # noqa: BLE001 - kombu's hooks build objects, whose errors may be any
        raise Undecodable("json") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                children += value.values()
            elif isinstance(value, list):
                children += value
        if not children:
            return False
        level = children
    return True
