"""Tensors of a checkpoint by their content, read once, in pieces.

The digest over all files of a folder changes with a README. Here only the bytes of each tensor are
hashed, so that copies are detected under other names, in other shards and with other files.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from evaluator.artefacts.safetensors import Tensors
from evaluator.artefacts.strict_json import NotStrict, read_object
from evaluator.contract.weights import MOST_TENSORS, Weights
from evaluator.errors import Code, error

_PIECE = 4 << 20
"""Bytes read at once."""
_NUMBER = re.compile(r"\d+", re.ASCII)


def read_weights(shards: Iterable[Path]) -> Weights:
    """Return the tensors in these safetensors files, whose headers ``read_tensors`` has checked.

    Equal tensors count once; a tensor without bytes does not count. Raises CHECKPOINT_NO_WEIGHTS,
    and CHECKPOINT_BAD_HEADER or CHECKPOINT_TRUNCATED for a file that has changed since it was
    checked.
    """
    sizes: dict[str, int] = {}
    for shard in shards:
        sizes.update(_digests_and_sizes(shard))
    if not sizes:
        raise error(Code.CHECKPOINT_NO_WEIGHTS)
    by_size = sorted(sizes, key=lambda digest: (-sizes[digest], digest))
    listed = sorted(by_size[:MOST_TENSORS])
    return Weights(
        bytes=sum(sizes.values()),
        count=len(sizes),
        tensors=tuple((digest, sizes[digest]) for digest in listed),
    )


def count_layers(shards: Iterable[Tensors]) -> int:
    """Return the number of layers that the tensors' names count, 0 where none is numbered.

    The first number in a name is that of the layer, as in ``model.layers.31.mlp.down_proj.weight``.
    A model that repeats layers of another has the same distinct tensors and more layers.
    """
    layers = 0
    for shard in shards:
        for name in shard.entries:
            number = _NUMBER.search(name)
            if number:
                layers = max(layers, int(number[0][:9]) + 1)
    return layers


def _digests_and_sizes(shard: Path) -> Iterator[tuple[str, int]]:
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
            if end <= begin:
                continue
            file.seek(8 + length + begin)
            digest = hashlib.sha256()
            left = end - begin
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise error(Code.CHECKPOINT_TRUNCATED, shard.name)
                digest.update(piece)
                left -= len(piece)
            yield digest.hexdigest()[:32], end - begin
