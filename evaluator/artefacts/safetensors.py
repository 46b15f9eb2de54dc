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
PLAIN_HEADER_BYTES = 8 << 20
"""Bytes of a header that are decoded without asking what takes them."""
TENSOR_BYTES = 1024
"""Bytes of a longer header for each tensor that it names: real ones take some hundred and fifty."""
MAX_TENSORS = 200_000
MAX_NAME = 512
_BITS = {
    **{"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8},
    **{
        "I64": 64,
        "I32": 32,
        "I16": 16,
        "I8": 8,
        "U64": 64,
        "U32": 32,
        "U16": 16,
        "U8": 8,
        "BOOL": 8,
        "C64": 64,
    },
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a file: the format's name of its type, its shape, its first and last byte in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Tensors:
    """Contents of a header: the tensors by name, and how many numbers and bytes they hold together."""

    entries: Mapping[str, Tensor]
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
            raise error(
                Code.CHECKPOINT_TRUNCATED if file.read(1) == b"{" else Code.CHECKPOINT_BAD_HEADER,
                path.name,
            )
        raw = file.read(length)
    if length > max(PLAIN_HEADER_BYTES, TENSOR_BYTES * raw.count(b'"data_offsets"')):
        raise _bad(path)  # decoding what is no list of tensors takes thirty times its size
    try:
        header = read_object(raw) if raw[:1] == b"{" else None
    except NotStrict:
        header = None
    if header is None:
        raise _bad(path)
    return _tensors(header, size, 8 + length, path)


def _tensors(header: Mapping[str, Any], size: int, start: int, path: Path) -> Tensors:
    entries = dict(header)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise _bad(path)
    if not 0 < len(entries) <= MAX_TENSORS or any(
        not name or len(name) > MAX_NAME for name in entries
    ):
        raise _bad(path)
    tensors = {name: _entry(entry, start, path) for name, entry in entries.items()}
    reached = start
    for begin, end in sorted((tensor.begin, tensor.end) for tensor in tensors.values()):
        if begin != reached:  # from zero, without a hole or an overlap
            raise _bad(path)
        reached = end
    if reached > size:
        raise error(Code.CHECKPOINT_TRUNCATED, path.name)
    if reached < size:  # something hides behind the tensors
        raise _bad(path)
    parameters = sum(prod(tensor.shape) for tensor in tensors.values())
    return Tensors(tensors, parameters, reached - start)


def _entry(entry: Any, start: int, path: Path) -> Tensor:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _bad(path)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    bits = _BITS.get(dtype) if isinstance(dtype, str) else None
    if (
        bits is None
        or not _naturals(shape)
        or not _naturals(offsets)
        or len(offsets) != 2
        or len(shape) > 16
    ):
        raise _bad(path)
    count = prod(shape)
    if count >= 1 << 48 or offsets[1] - offsets[0] != count * bits // 8:
        raise _bad(path)
    return Tensor(str(dtype), tuple(shape), start + offsets[0], start + offsets[1])


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number < 1 << 62 for number in value
    )


def _bad(path: Path) -> EvaluatorError:
    return error(Code.CHECKPOINT_BAD_HEADER, path.name)
