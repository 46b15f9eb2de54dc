"""Bitmaps over the items of a set, as text."""

import base64
from collections.abc import Iterable

from evaluator.errors import Code, error


def pack_bits(indices: Iterable[int], n: int) -> str:
    """Return a bitmap over 0 … n-1 as base64, least significant bit first.

    Raises ``bad_message`` for an index beyond n.
    """
    bits = bytearray((n + 7) // 8)
    for index in indices:
        if not 0 <= index < n:
            raise error(Code.BAD_MESSAGE, "an index lies outside the set")
        bits[index >> 3] |= 1 << (index & 7)
    return base64.b64encode(bytes(bits)).decode("ascii")


def unpack_bits(bitmap: str, n: int) -> frozenset[int]:
    """Return the indices marked in a bitmap; an empty string marks none. Raises ``bad_message``."""
    try:
        raw = base64.b64decode(bitmap, validate=True)
    except ValueError:
        raise error(Code.BAD_MESSAGE, "a bitmap is not base64") from None
    if not raw:
        return frozenset()
    bits = int.from_bytes(raw, "little")
    if len(raw) != (n + 7) // 8 or bits >> n:
        raise error(Code.BAD_MESSAGE, "a bitmap does not fit its set")
    marked: set[int] = set()
    for index in range(n):
        byte = raw[index >> 3]
        if byte >> (index & 7) & 1:
            marked.add(index)
    return frozenset(marked)
