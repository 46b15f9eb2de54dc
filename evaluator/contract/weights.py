"""Weights by the content of their tensors, independent of the names of files and tensors."""

import hashlib
from typing import Annotated

from msgspec import Meta

from evaluator.contract.base import Hex32, Wire, canonical_json

MOST_TENSORS = 4096
"""Maximum number of tensors listed of one checkpoint.

The largest ones, ties by digest, so that equal weights list equal tensors.
"""

Size = Annotated[int, Meta(ge=1, le=1 << 53)]
"""Number of bytes or tensors, up to what JSON readers represent exactly."""
Hex16 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class Weights(Wire, frozen=True, kw_only=True):
    """Distinct tensors of a checkpoint: the first half of the SHA-256 of their bytes, and sizes.

    Names, shapes, shards and every other file are left out: the same weights under another
    README, other shards or other names list the same. ``bytes`` and ``count`` are of all distinct
    tensors, of which ``tensors`` lists the largest, in order of their digests.
    """

    bytes: Size
    count: Size
    tensors: Annotated[tuple[tuple[Hex16, Size], ...], Meta(min_length=1, max_length=MOST_TENSORS)]

    def digest(self) -> Hex32:
        """Return the SHA-256 of the canonical JSON, which a closing commits to."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()
