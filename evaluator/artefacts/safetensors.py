"""The header of a safetensors file, read by the letter of the format.

https://github.com/huggingface/safetensors#format : eight bytes, little-endian, the header's length; the
header, a JSON object that begins with ``{``; then the tensors without a hole and without anything after.
Nothing of the tensors themselves is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from evaluator.artefacts.strict_json import NotStrict, read_object
from evaluator.errors import Code, EvaluatorError, error

MAX_HEADER_BYTES = 100_000_000
MAX_TENSORS = 200_000
MAX_NAME = 512
_BITS = {
    **{"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8},
    **{"I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8, "C64": 64},
}


@dataclass(frozen=True, slots=True)
class Tensors:
    """What a header says: the names of the tensors, how many numbers they hold together, and how many bytes."""

    names: frozenset[str]
    parameters: int
    size: int


def read_tensors(path: Path) -> Tensors:
    """Check the header against the file. Raises CHECKPOINT_BAD_HEADER, CHECKPOINT_TRUNCATED."""
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise error(Code.CHECKPOINT_TRUNCATED, path.name)
        length = int.from_bytes(prefix, "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise _bad(path)
        if length > size - 8:
            raise error(Code.CHECKPOINT_TRUNCATED if file.read(1) == b"{" else Code.CHECKPOINT_BAD_HEADER, path.name)
        raw = file.read(length)
    try:
        header = read_object(raw) if raw[:1] == b"{" else None
    except NotStrict:
        header = None
    if header is None:
        raise _bad(path)
    return _tensors(header, size - 8 - length, path)


def _tensors(header: Mapping[str, Any], data_bytes: int, path: Path) -> Tensors:
    entries = dict(header)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _bad(path)
    if not 0 < len(entries) <= MAX_TENSORS or any(not name or len(name) > MAX_NAME for name in entries):
        raise _bad(path)
    spans = []
    parameters = 0
    for entry in entries.values():
        count, begin, end = _entry(entry, path)
        parameters += count
        spans.append((begin, end))
    spans.sort()
    reached = 0
    for begin, end in spans:  # from zero, without a hole or an overlap
        if begin != reached:
            raise _bad(path)
        reached = end
    if reached > data_bytes:
        raise error(Code.CHECKPOINT_TRUNCATED, path.name)
    if reached < data_bytes:  # something hides behind the tensors
        raise _bad(path)
    return Tensors(frozenset(entries), parameters, reached)


def _entry(entry: Any, path: Path) -> tuple[int, int, int]:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _bad(path)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    bits = _BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2 or len(shape) > 16:
        raise _bad(path)
    count = prod(shape)
    if count >= 1 << 48 or offsets[1] - offsets[0] != count * bits // 8:
        raise _bad(path)
    return count, offsets[0], offsets[1]


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and 0 <= number < 1 << 62 for number in value)


def _bad(path: Path) -> EvaluatorError:
    return error(Code.CHECKPOINT_BAD_HEADER, path.name)
