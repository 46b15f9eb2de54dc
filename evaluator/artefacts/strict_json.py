"""Strict JSON: unambiguous, bounded in size and depth."""

import json
from typing import Any


class NotStrict(ValueError):
    """The bytes are not one unambiguous JSON object."""


def read_object(raw: bytes, *, infinity: bool = False) -> dict[str, Any]:
    """Return the JSON object in these bytes.

    Raises NotStrict for anything else: another encoding, a duplicate key, NaN, great depth.
    Infinity is refused too, unless ``infinity`` is True: it is not JSON, but model libraries
    write it.
    """

    def constant(name: str) -> float:
        if name == "NaN" or not infinity:
            raise NotStrict
        return float(name)

    try:
        text = raw.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=constant)
    except (ValueError, RecursionError):
        raise NotStrict from None
    if not isinstance(value, dict):
        raise NotStrict
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotStrict
    return value
