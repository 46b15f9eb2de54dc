"""Weights by the content of their tensors, independent of the names of files and tensors."""

import hashlib
from collections.abc import Iterable
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
_Tensor = tuple[Hex16, Size]
"""Digest and size of a tensor."""


class Weights(Wire, frozen=True, kw_only=True):
    """Distinct tensors of a checkpoint: the first half of the SHA-256 of their bytes, and sizes.

    Names, shapes, shards and every other file are left out: the same weights under another
    README, other shards or other names list the same. ``bytes`` and ``count`` are of all distinct
    tensors, of which ``tensors`` lists the largest, in order of their digests.
    """

    bytes: Size
    count: Size
    tensors: Annotated[tuple[_Tensor, ...], Meta(min_length=1, max_length=MOST_TENSORS)]

    def digest(self) -> Hex32:
        """Return the SHA-256 of the canonical JSON, which a closing commits to."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()

    @property
    def listed_bytes(self) -> int:
        """Bytes of the tensors that are listed."""
        return sum(size for _, size in self.tensors)

    def shared_bytes(self, other: "Weights") -> int:
        """Return the bytes of the tensors that both list."""
        sizes = dict(self.tensors)
        other_sizes = dict(other.tensors)
        shared = sizes.keys() & other_sizes.keys()
        return sum(sizes[tensor] for tensor in shared)

    def shared_with(self, other: "Weights") -> float:
        """Return the share of the bytes which the smaller of both lists that both list."""
        smaller = min(self.listed_bytes, other.listed_bytes)
        return self.shared_bytes(other) / smaller

    @classmethod
    def together(cls, parts: Iterable["Weights"]) -> "Weights":
        """Return the distinct tensors of all parts of a system, as of one checkpoint.

        A tensor that two parts list is one. Those that a part does not list count as distinct.
        """
        sizes: dict[str, int] = {}
        listed_bytes = 0
        listed_count = 0
        all_bytes = 0
        all_count = 0
        for part in parts:
            sizes |= dict(part.tensors)
            listed_bytes += part.listed_bytes
            listed_count += len(part.tensors)
            all_bytes += part.bytes
            all_count += part.count
        by_size = sorted(sizes.items(), key=lambda tensor: (-tensor[1], tensor[0]))
        largest = by_size[:MOST_TENSORS]
        return cls(
            bytes=all_bytes - listed_bytes + sum(sizes.values()),
            count=all_count - listed_count + len(sizes),
            tensors=tuple(sorted(largest)),
        )
