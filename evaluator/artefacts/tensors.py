"""The tensors of a checkpoint by their content, read once, in pieces.

The digest over all files of a folder changes with a README. What is hashed here is the bytes of each tensor alone, so
that copies are found under other names, in other shards and beside other files.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from evaluator.artefacts.strict_json import NotStrict, read_object
from evaluator.contract.weights import MOST_TENSORS, Weights
from evaluator.errors import Code, error

_PIECE = 4 << 20
"""Bytes read at once."""


def read_weights(shards: Iterable[Path]) -> Weights:
    """The tensors in these safetensors files, whose headers were checked before (``read_tensors``).

    A tensor that stands in the files twice counts once; one without bytes does not count. Raises
    CHECKPOINT_BAD_HEADER, CHECKPOINT_TRUNCATED where a file has changed since it was checked, CHECKPOINT_NO_WEIGHTS.
    """
    found: dict[str, int] = {}
    for shard in shards:
        found.update(_tensors(shard))
    if not found:
        raise error(Code.CHECKPOINT_NO_WEIGHTS)
    largest = sorted(found.items(), key=lambda one: (-one[1], one[0]))[:MOST_TENSORS]
    return Weights(bytes=sum(found.values()), count=len(found), tensors=tuple(sorted(largest)))


def _tensors(shard: Path) -> Iterator[tuple[str, int]]:
    with shard.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = read_object(file.read(length))
            spans = sorted(
                tuple(entry["data_offsets"])
                for name, entry in header.items()
                if name != "__metadata__"
            )
        except (NotStrict, KeyError, TypeError):
            raise error(Code.CHECKPOINT_BAD_HEADER, shard.name) from None
        for begin, end in spans:
            if end > begin:
                file.seek(8 + length + begin)
                yield _digest(file, end - begin, shard), end - begin


def _digest(file: BinaryIO, size: int, shard: Path) -> str:
    digest = hashlib.sha256()
    while size:
        piece = file.read(min(size, _PIECE))
        if not piece:
            raise error(Code.CHECKPOINT_TRUNCATED, shard.name)
        digest.update(piece)
        size -= len(piece)
    return digest.hexdigest()[:32]
