"""Header of a safetensors file, read strictly by the format.

https://github.com/huggingface/safetensors#format :

- the length of the header, eight bytes, little-endian;
- the header, a JSON object that begins with ``{``;
- the tensors, without a gap and without anything behind them. They are not read here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from evaluator.artefacts.strict_json import NotStrict, read_object
from evaluator.errors import Code, EvaluatorError, error

MAX_HEADER_BYTES = 100_000_000
PLAIN_HEADER_BYTES = 8 << 20
"""Bytes up to which a header is decoded, regardless of its number of tensors."""
TENSOR_BYTES = 1024
"""Maximum bytes of a longer header for each tensor: real ones take about 150."""
MAX_TENSORS = 200_000
MAX_NAME = 512
MAX_DIMENSIONS = 16
_BOUND = 1 << 62
"""Integers of a header are smaller."""
_KEYS = {"dtype", "shape", "data_offsets"}
_BITS = {
    "F64": 64,
    "F32": 32,
    "F16": 16,
    "BF16": 16,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
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
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """Tensor of a file: the format's name of its type, its shape, and its range of bytes."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Tensors:
    """Contents of a header: the tensors by name, and their total numbers and bytes."""

    entries: Mapping[str, Tensor]
    parameters: int
    size: int


def read_tensors(path: Path) -> Tensors:
    """Read the header and check it against the file's size.

    Raises CHECKPOINT_BAD_HEADER, CHECKPOINT_TRUNCATED.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise error(Code.CHECKPOINT_TRUNCATED, path.name)
        length = int.from_bytes(prefix, "little")
        if not 2 <= length <= MAX_HEADER_BYTES:
            raise _bad(path)
        if length > size - 8:
            if file.read(1) != b"{":
                raise _bad(path)
            raise error(Code.CHECKPOINT_TRUNCATED, path.name)
        raw = file.read(length)
    declared = raw.count(b'"data_offsets"')
    if length > max(PLAIN_HEADER_BYTES, TENSOR_BYTES * declared):
        raise _bad(path)  # decoding anything but a list of tensors takes thirty times its size
    if raw[:1] != b"{":
        raise _bad(path)
    try:
        header = read_object(raw)
    except NotStrict:
        raise _bad(path) from None
    _check_metadata_and_names(header, path)
    start = 8 + length
    tensors = {}
    for name, entry in header.items():
        tensors[name] = _read_entry(entry, start, path)
    end = _end_of(tensors.values(), start, path)
    if end > size:
        raise error(Code.CHECKPOINT_TRUNCATED, path.name)
    if end < size:  # hidden data behind the tensors
        raise _bad(path)
    parameters = sum(prod(tensor.shape) for tensor in tensors.values())
    return Tensors(tensors, parameters, end - start)


def _check_metadata_and_names(header: dict[str, Any], path: Path) -> None:
    """Remove the metadata from a header and check them, and the names of the tensors."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise _bad(path)
    if not all(isinstance(value, str) for value in metadata.values()):
        raise _bad(path)
    if not 0 < len(header) <= MAX_TENSORS:
        raise _bad(path)
    if not all(0 < len(name) <= MAX_NAME for name in header):
        raise _bad(path)


def _read_entry(entry: Any, start: int, path: Path) -> Tensor:
    if not isinstance(entry, dict) or entry.keys() != _KEYS:
        raise _bad(path)
    dtype = entry["dtype"]
    shape = entry["shape"]
    offsets = entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise _bad(path)
    if not _are_naturals(shape) or len(shape) > MAX_DIMENSIONS:
        raise _bad(path)
    if not _are_naturals(offsets) or len(offsets) != 2:
        raise _bad(path)
    begin, end = offsets
    count = prod(shape)
    if count >= 1 << 48 or end - begin != count * _BITS[dtype] // 8:
        raise _bad(path)
    return Tensor(dtype, tuple(shape), start + begin, start + end)


def _end_of(tensors: Iterable[Tensor], start: int, path: Path) -> int:
    """Return the end of the tensors, which must follow each other without a gap or an overlap."""
    spans = [(tensor.begin, tensor.end) for tensor in tensors]
    reached = start
    for begin, end in sorted(spans):
        if begin != reached:
            raise _bad(path)
        reached = end
    return reached


def _are_naturals(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return all(type(number) is int and 0 <= number < _BOUND for number in value)


def _bad(path: Path) -> EvaluatorError:
    return error(Code.CHECKPOINT_BAD_HEADER, path.name)
