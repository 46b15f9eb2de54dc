"""Weights by the content of their tensors: comparable whatever the files and the tensors are called."""

import hashlib
from typing import Annotated

from msgspec import Meta

from evaluator.contract.base import Hex32, Wire, canonical_json

MOST_TENSORS = 4096
"""Tensors that are listed of one checkpoint: the largest, ties by digest, so that equal weights list equal tensors."""

Size = Annotated[int, Meta(ge=1, le=1 << 53)]
"""A number of bytes or tensors, as large as JSON readers count exactly."""
Hex16 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class Weights(Wire, frozen=True, kw_only=True):
    """The distinct tensors of a checkpoint, by the SHA-256 of their bytes (its first half) and their sizes.

    Names, shapes, shards and every other file are left out: the same weights under another README, other shards or
    other names list the same. ``bytes`` and ``count`` are of all distinct tensors, of which ``tensors`` lists the
    largest, in order of their digests.
    """

    bytes: Size
    count: Size
    tensors: Annotated[tuple[tuple[Hex16, Size], ...], Meta(min_length=1, max_length=MOST_TENSORS)]

    def digest(self) -> Hex32:
        """SHA-256 of the canonical JSON: what a closing commits to."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()
