"""Every route of the site, read from its URL table, and hostile values for each part of a request.

Nothing here names a route: one that is added is fuzzed without a line being added.
"""

import importlib
import itertools
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.urls import URLPattern, URLResolver, get_resolver

import leaderboard
from leaderboard.urls import api

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
_PART = re.compile(r"<(?:(\w+):)?(\w+)>|{(?:(\w+):)?(\w+)}")

HOSTILE_TEXT = (
    "", "\0", "a\0b", "\x1b[31m", "\x7f", "\r\nX: y", "\ufeff", "\u202e", "\U0001f9ea", "a" * 900,
    "'; --", "%s%n", "../../etc/passwd", "<b>x</b>", "-1", str(2**31), str(2**63), str(2**200), "9" * 5_000,
    "0", "1e400", "NaN", "-Infinity", "1.5", "0000-00-00", "9999-99-99", "10000-01-01", "2026-02-30T25:61:61Z",
    "true", "null", "[]", "٣",
)  # fmt: skip
"""As text of a query or of a form; a path gets them percent-encoded."""
HOSTILE_BYTES = (
    "%",
    "%zz",
    "%ff",
    "%c0%80",
    "%ed%a0%80",
    "%00",
    "a%00b",
    "%0a",
    "%2e%2e%2f",
    "%u0000",
)
"""As they stand in an address: no percent-encoding, no UTF-8, an encoded surrogate, an overlong NUL."""
HOSTILE_JSON: tuple[Any, ...] = (
    None, True, -1, 1.5, 2**31, 2**63, 2**200, 1e308, "", "\0", "a\0b", "\ud800", "a" * 9_000, [], {}, [[]],
    ["\0"], {"\0": "\0"}, {"a": "\udfff"}, "٣",
)  # fmt: skip
HOSTILE_BODIES = (
    b"", b"\0", b"\xff\xfe", b"{", b"[]", b"null", b'"x"', b"NaN", b"1e999", b"9" * 5_000, b"[" * 20_000,
    b'{"a":' * 20_000, b'{"pair": NaN}', b'{"max_cost": Infinity}', b'{"max_cost": 1e400}', b'{"a": 1, "a": 2}',
    b'{"model": "\\u0000"}', b'{"model": "\\ud800"}', b'{"parameters": 1.0}', b"--x\r\n", b"--x--\r\n",
    b'--x\r\nContent-Disposition: form-data; name="manifest"; filename="a\0b"\r\n\r\n\xff\r\n--x--\r\n',
    b'--x\r\nContent-Disposition: form-data; name="model"\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--x--\r\n',
    b"model=%00&pair=%ff&key=%zz", b"&".join(b"f%d=1" % number for number in range(200)),
)  # fmt: skip
CONTENT_TYPES = (
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data",
    "multipart/form-data; boundary=" + "x" * 300, "application/json", "application/json; charset=utf-16",
    "text/html; charset=nonsense", "application/x-www-form-urlencoded; charset=\x7f", "",
)  # fmt: skip
FORM_TYPES = tuple(
    kind
    for kind in CONTENT_TYPES
    if kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"))
    and len(kind) < 100  # Django refuses a longer boundary before it reads a body
)
"""Content types whose bodies Django reads for a page."""
LAST_BODIES = tuple((kind, HOSTILE_BODIES[-1]) for kind in CONTENT_TYPES)
"""One body of each content type."""


@dataclass(frozen=True)
class Route:
    """One route: literal pieces of its path, with ``(converter, name)`` between them."""

    pieces: tuple[str | tuple[str, str], ...]

    def __str__(self) -> str:
        return "".join(
            piece if isinstance(piece, str) else f"<{piece[1]}>" for piece in self.pieces
        )

    @property
    def parts(self) -> list[tuple[str, str]]:
        """What may be filled in, as ``(converter, name)``."""
        return [piece for piece in self.pieces if not isinstance(piece, str)]

    def path(self, values: dict[str, str]) -> str:
        """The path with each part filled in; the values are percent-encoded already."""
        return "".join(
            piece if isinstance(piece, str) else values[piece[1]] for piece in self.pieces
        )


def routes() -> list[Route]:
    """Every route of the URL table, the API's included."""
    return [
        Route(tuple(_pieces("/" + text))) for text in _patterns(get_resolver().url_patterns, "")
    ]


def _patterns(patterns: list[Any], before: str) -> Iterator[str]:
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from _patterns(one.url_patterns, before + str(one.pattern))
        elif isinstance(one, URLPattern):
            yield before + str(one.pattern)


def _pieces(text: str) -> Iterator[str | tuple[str, str]]:
    end = 0
    for found in _PART.finditer(text):
        yield text[end : found.start()]
        yield (found[1] or found[3] or "str", found[2] or found[4])
        end = found.end()
    yield text[end:]


def typed_bodies(route: Route) -> Iterator[tuple[str, bytes]]:
    """Every body with every content type. A page reads none but forms: others take turns there."""
    if str(route).startswith("/api/"):
        yield from itertools.product(CONTENT_TYPES, HOSTILE_BODIES)
        return
    yield from itertools.product(FORM_TYPES, HOSTILE_BODIES)
    unread = [kind for kind in CONTENT_TYPES if kind not in FORM_TYPES]
    yield from zip(itertools.cycle(unread), HOSTILE_BODIES, strict=False)


def query_names() -> list[str]:
    """Every name that a query may have: of the API by its own description, of pages by their forms."""
    described = api.get_openapi_schema(path_prefix="/api/v1/")
    operations = [op for path in described["paths"].values() for op in path.values()]
    named = {
        one["name"] for op in operations for one in op.get("parameters", []) if one["in"] == "query"
    }
    return sorted(named | set(form_fields()) | {"page", "next"})


def form_fields() -> list[str]:
    """Every field of every form of the site."""
    for module in pkgutil.walk_packages(leaderboard.__path__, "leaderboard."):
        if module.name.endswith(".forms"):
            importlib.import_module(module.name)
    waiting, fields = list(forms.BaseForm.__subclasses__()), set[str]()
    while waiting:
        form = waiting.pop()
        waiting += form.__subclasses__()
        if form.__module__.startswith("leaderboard."):
            fields |= set(getattr(form, "base_fields", {}))
    return sorted(fields)


def json_fields() -> list[str]:
    """Every property that the API takes in a body."""
    schemas = api.get_openapi_schema(path_prefix="/api/v1/")["components"]["schemas"]
    return sorted(
        set(itertools.chain.from_iterable(one.get("properties", {}) for one in schemas.values()))
    )


def hostile_orders(good: dict[str, Any]) -> Iterator[bytes]:
    """A good JSON body with one field replaced by each hostile value."""
    for name in good:
        for value in HOSTILE_JSON:
            yield json.dumps(good | {name: value}).encode()
