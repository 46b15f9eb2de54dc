"""Bytes of a response: unpacked within a bound, and decoded.

Servers compress though they were asked not to, and write Latin-1 though JSON is UTF-8. Both can be
read.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from evaluator.hosts.gateway.adapter import MAX_BODY_BYTES, bad_response

_WINDOWS = {
    "gzip": zlib.MAX_WBITS | 16,
    "x-gzip": zlib.MAX_WBITS | 16,
    "deflate": zlib.MAX_WBITS,
}


def unpacked(body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the body without its content encoding.

    Raises Refused for another encoding, or a body that is too long.
    """
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if encoding not in _WINDOWS:
        raise bad_response()
    if encoding.endswith("gzip") and not body.startswith(b"\x1f\x8b"):
        return body  # a proxy has unpacked it and left the header
    reader = zlib.decompressobj(_WINDOWS[encoding])
    try:
        plain = reader.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise bad_response() from None
    if len(plain) > MAX_BODY_BYTES:
        raise bad_response()
    return plain


def as_utf8(body: bytes) -> bytes:
    """Return the body in an encoding that JSON may have; any other is taken for Latin-1."""
    try:
        body.decode(json.detect_encoding(body))
    except UnicodeDecodeError:
        return body.decode("latin-1").encode("utf-8")
    return body


def decoded(body: bytes) -> Any:
    """Return the JSON value of a body. Raises ValueError or RecursionError."""
    return json.loads(as_utf8(body))


def is_stream(body: bytes, content_type: str) -> bool:
    """Return true for server-sent events, though the question asked for a whole response."""
    if content_type.strip().lower().startswith("text/event-stream"):
        return True
    begins = body[:64].lstrip()
    return begins.startswith((b"data:", b"event:"))
