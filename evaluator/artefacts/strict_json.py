"""JSON read strictly: one meaning only, bounded in size and depth."""

import json
from typing import Any, NoReturn


class NotStrict(ValueError):
    """The bytes are not one JSON object of one meaning."""


def read_object(raw: bytes, *, infinity: bool = False) -> dict[str, Any]:
    """Decode one JSON object. Raises NotStrict for all else: another encoding, a duplicate key, NaN, great depth.

    Infinity is no JSON, and refused unless ``infinity`` is expected: model libraries write it as a bound.
    """
    constant = _bound if infinity else _refuse
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=constant)
    except (ValueError, RecursionError):
        raise NotStrict from None
    if not isinstance(value, dict):
        raise NotStrict
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrict
    return found


def _bound(name: str) -> float:
    if name == "NaN":
        raise NotStrict
    return float(name)


def _refuse(_: str) -> NoReturn:
    raise NotStrict
