"""Plain data as JSON: what may cross from a program's process to another one.

Plain are None, truth values, numbers, text, bytes, lists, tuples, sets and dictionaries of plain
data, and the types of all these. Reading makes objects of exactly these types and calls nothing of
the sender's, so a value whose ``__eq__`` is always true does not cross: its sender has to name what
it is.

A sender may also name an object that stays with it, by a number (``Handle``).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_BYTES = 1 << 20
"""Bytes of one encoded value."""
MAX_BITS = 14_000
"""Bits of an integer: what Python prints without a higher limit."""
MAX_NODES = 100_000
"""Values within one value."""

_COLLECTIONS = ((tuple, "t"), (list, "l"), (frozenset, "f"), (set, "s"))
_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict),
        type(None),
    )
}
_MAKERS: dict[str, Callable[[list[Any]], object]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "f": frozenset,
}


class NotPlainError(ValueError):
    """The value cannot cross, or what was sent is no value."""


@dataclass(frozen=True, slots=True)
class Handle:
    """Object that stays in its process, by its number there."""

    number: int


def dumps(value: object, keep: Callable[[object], int] | None = None) -> bytes:
    """Return the value as JSON. ``keep`` numbers an object that stays here.

    Raises NotPlainError for a value that is not plain where nothing may stay, and for one that is
    too large.
    """
    try:
        text = json.dumps(_Encoder(keep).encode(value), separators=(",", ":"))
    except (RecursionError, ValueError) as failure:
        raise NotPlainError(str(failure)) from None
    if len(text) > MAX_BYTES:
        raise NotPlainError("too large")
    return text.encode("ascii")


def loads(text: bytes, resolve: Callable[[Handle], object] | None = None) -> object:
    """Return the value. Handles are refused without ``resolve``. Raises NotPlainError."""
    if len(text) > MAX_BYTES:
        raise NotPlainError("too large")
    try:
        return _decode(json.loads(text), resolve)
    except (ValueError, TypeError, RecursionError, KeyError, IndexError) as failure:
        raise NotPlainError(type(failure).__name__) from None


class _Encoder:
    def __init__(self, keep: Callable[[object], int] | None) -> None:
        self.keep = keep
        self.nodes = 0

    def encode(self, value: object) -> object:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise NotPlainError("too many values")
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return _bounded(int(value))
        for kind in (float, str):
            if isinstance(value, kind):
                return kind(value)
        return self._tagged(value)

    def _tagged(self, value: object) -> list[object]:
        for kind, name in _COLLECTIONS:
            if isinstance(value, kind):
                return [name, *map(self.encode, value)]
        match value:
            case dict():
                return ["d", *(self.encode(part) for pair in value.items() for part in pair)]
            case bytes() | bytearray():
                return ["b", value.hex()]
            case complex():
                return ["c", value.real, value.imag]
        if isinstance(value, type) and _TYPES.get(value.__name__) is value:
            return ["k", value.__name__]
        if self.keep is None:
            raise NotPlainError(type(value).__name__)
        return ["h", self.keep(value)]


def _bounded(value: int) -> int:
    if value.bit_length() > MAX_BITS:
        raise NotPlainError("integer too large")
    return value


def _decode(node: object, resolve: Callable[[Handle], object] | None) -> object:
    match node:
        case None | bool() | float() | str():
            return node
        case int():
            return _bounded(node)
        case [str(tag), *parts]:
            return _untagged(tag, parts, resolve)
    raise NotPlainError("no value")


def _untagged(tag: str, parts: list[object], resolve: Callable[[Handle], object] | None) -> object:
    match tag, parts:
        case "b", [str(text)]:
            return bytes.fromhex(text)
        case "c", [float(real), float(imaginary)]:
            return complex(real, imaginary)
        case "k", [str(name)]:
            return _TYPES[name]
        case "h", [int(number)] if resolve is not None:
            return resolve(Handle(number))
        case "d", _:
            values = [_decode(part, resolve) for part in parts]
            return dict(zip(values[::2], values[1::2], strict=True))
        case "l" | "t" | "s" | "f", _:
            return _MAKERS[tag]([_decode(part, resolve) for part in parts])
    raise NotPlainError("no value")
