"""A template that is rendered once and then only filled in: what makes a page of many rows cheap."""

import re
import struct
import zlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from secrets import token_hex
from typing import Any, Protocol

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from isal import isal_zlib

# Nobody outside knows it, so no name that is printed can look like a mark.
_TOKEN = token_hex(8)
_MARK = re.compile(rf"\[{_TOKEN}:(\w+)\]")

_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST = b"\x03\x00"
"""RFC 1952: deflated, no name, no time, any system; RFC 1951: an empty last block."""
_SHORT = 200
"""Bytes below which it costs more to begin to compress than it saves."""


class Press(Protocol):
    """What compresses, of either library."""

    def compress(self, data: bytes, /) -> bytes:
        """What comes out when these bytes go in."""

    def flush(self, mode: int, /) -> bytes:
        """What is left inside."""


class Outline:
    """What a template makes of its ``context``, with ``marks`` where values of these names belong.

    The template prints a mark like any other value and must not look into it. Values are put in as they are: names
    have to be escaped before.
    """

    def __init__(
        self,
        template: str,
        marks: Sequence[str],
        context: Mapping[str, Any],
        request: HttpRequest | None = None,
    ) -> None:
        marked = {name: SafeString(f"[{_TOKEN}:{name}]") for name in marks}
        self._parts = _MARK.split(render_to_string(template, {**context, **marked}, request))

    def cut(self, names: Container[str]) -> "tuple[Outline, ...]":
        """The pieces before, between and after the marks of these ``names``, each an outline."""
        places = [place for place, name in enumerate(self._parts) if place % 2 and name in names]
        pieces = []
        for first, last in pairwise([-1, *places, len(self._parts)]):
            piece = Outline.__new__(Outline)
            piece._parts = self._parts[first + 1 : last]
            pieces.append(piece)
        return tuple(pieces)

    def filled(self, values: Mapping[str, object]) -> SafeString:
        """The whole, with these values in place of the marks."""
        text, names = self._pattern
        return SafeString(text % tuple([values[name] for name in names]))

    @cached_property
    def _pattern(self) -> tuple[str, list[str]]:
        return "%s".join(part.replace("%", "%%") for part in self._parts[::2]), self._parts[1::2]

    def zipped(self, values: Mapping[str, object]) -> bytes:
        """The same as one gzip member (RFC 1952), in which only the values had to be compressed."""
        out, check, size = [_HEAD], 0, 0
        for number, part in enumerate(self._parts):
            data, block = (
                self._fixed[number // 2] if number % 2 == 0 else _quick(str(values[part]).encode())
            )
            out.append(block)
            check, size = isal_zlib.crc32(data, check), size + len(data)
        return b"".join([*out, _LAST, struct.pack("<II", check, size & 0xFFFFFFFF)])

    @cached_property
    def _fixed(self) -> list[tuple[bytes, bytes]]:
        return [
            _block(part.encode(), zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS))
            for part in self._parts[::2]
        ]


@dataclass(frozen=True)
class Filled:
    """An outline with its values: text for one reader, or compressed for all of them."""

    outline: Outline
    values: Mapping[str, object]

    def __str__(self) -> str:
        return self.outline.filled(self.values)

    def zipped(self) -> bytes:
        """As one gzip member."""
        return self.outline.zipped(self.values)


def _quick(data: bytes) -> tuple[bytes, bytes]:
    # ISA-L packs what is made anew for each page in less than half of zlib's time, and nearly as small.
    return _block(data, isal_zlib.compressobj(1, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS))


def _block(data: bytes, press: Press) -> tuple[bytes, bytes]:
    """``data``, and blocks of RFC 1951 that give it back by themselves and end where a byte ends."""
    if len(data) < _SHORT:
        return data, b"\x00" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data
    return data, press.compress(data) + press.flush(zlib.Z_FULL_FLUSH)
