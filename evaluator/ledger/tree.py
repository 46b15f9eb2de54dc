"""The Merkle tree of RFC 6962, section 2.1: one root that commits to a list, in order.

Leaves and inner nodes are hashed with different first bytes, so that neither can pass for the other, and
no leaf is ever doubled to fill a level.
"""

import hashlib
from collections.abc import Sequence


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf's data: SHA-256(0x00 ‖ data), 32 bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaf *hashes* (see :func:`leaf_hash`); SHA-256 of nothing for none.

    RFC 6962 splits n leaves at the largest power of two below n. Pairing neighbours level by level and
    carrying an odd last one upwards gives the same tree without recursion.
    """
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        level = above + level[len(above) * 2 :]
    return level[0]
