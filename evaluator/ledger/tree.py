"""The Merkle tree of RFC 6962, section 2.1: one root that commits to a list, in order.

Leaves and inner nodes are hashed with different first bytes, so that neither can pass for the
other, and no leaf is ever doubled to fill a level.
"""

import hashlib
from collections.abc import Iterable, Sequence

from evaluator.errors import Code, error


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf's data: SHA-256(0x00 ‖ data), 32 bytes."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash over leaf *hashes*; SHA-256 of the empty string for none.

    RFC 6962 splits n leaves at the largest power of two below n. Pairing neighbours level by
    level and carrying an odd last one upwards gives the same tree without recursion.
    """
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        lefts = level[::2]
        rights = level[1::2]
        pairs = zip(lefts, rights, strict=False)
        above = [node_hash(left, right) for left, right in pairs]
        level = above + level[len(above) * 2 :]
    return level[0]


class Tree:
    """Growing tree; roots of all earlier sizes, and proofs, in O(log² n) hashes."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        # level k holds the roots of the full subtrees of 2^k leaves, from the left
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash at the right."""
        self._levels[0].append(leaf)
        level = 0
        while len(self._levels[level]) % 2 == 0:
            if len(self._levels) == level + 1:
                self._levels.append([])
            left, right = self._levels[level][-2:]
            self._levels[level + 1].append(node_hash(left, right))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """Return the root over the first ``size`` leaves, by default all of them.

        Raises ``bad_message`` for a size beyond the tree.
        """
        size = len(self) if size is None else size
        self._check(0 <= size <= len(self))
        if size == 0:
            return hashlib.sha256(b"").digest()
        return self._subtree(0, size)

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """Return the inclusion proof (RFC 6962, 2.1.1) of a leaf in the tree of a size.

        Raises ``bad_message`` for an index or a size beyond the tree.
        """
        size = len(self) if size is None else size
        self._check(0 <= index < size <= len(self))
        path: list[bytes] = []
        start = 0
        end = size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
        return tuple(reversed(path))

    def consistency(self, first: int, second: int | None = None) -> tuple[bytes, ...]:
        """Return the consistency proof (RFC 6962, 2.1.2) between the trees of two sizes.

        Empty if the sizes are equal. Raises ``bad_message`` unless 1 ≤ first ≤ second ≤ length.
        """
        second = len(self) if second is None else second
        self._check(1 <= first <= second <= len(self))
        path: list[bytes] = []
        start = 0
        end = second
        while end != first:
            middle = start + _split(end - start)
            if first <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
        if start:  # else the last subtree is the old root, which the verifier knows
            path.append(self._subtree(start, end))
        return tuple(reversed(path))

    def _subtree(self, start: int, end: int) -> bytes:
        n = end - start
        is_full = n & (n - 1) == 0 and start % n == 0
        if is_full:
            return self._levels[n.bit_length() - 1][start // n]
        middle = start + _split(n)
        return node_hash(self._subtree(start, middle), self._subtree(middle, end))

    @staticmethod
    def _check(in_range: bool) -> None:
        if not in_range:
            raise error(Code.BAD_MESSAGE, "a size or an index beyond the tree")


def verify_inclusion(
    leaf: bytes,
    index: int,
    size: int,
    proof: Sequence[bytes],
    root: bytes,
) -> bool:
    """Return True if the leaf *hash* is at ``index`` of the tree of this size and root.

    Algorithm of RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size or not _are_hashes([leaf, *proof]):
        return False
    place = index
    last = size - 1
    computed = leaf
    for node in proof:
        if last == 0:
            return False
        if _is_right_child(place, last):
            computed = node_hash(node, computed)
            place, last = _skip_lone_levels(place, last)
        else:
            computed = node_hash(computed, node)
        place >>= 1
        last >>= 1
    return last == 0 and computed == root


def verify_consistency(
    first: int,
    second: int,
    first_root: bytes,
    second_root: bytes,
    proof: Sequence[bytes],
) -> bool:
    """Return True if the second tree begins with the leaves of the first, given their sizes.

    Algorithm of RFC 9162, 2.1.4.2.
    """
    if not 1 <= first <= second or not _are_hashes(proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    nodes = list(proof)
    if first & (first - 1) == 0:  # a power of two: the old root is a node of the new tree
        nodes.insert(0, first_root)
    if not nodes:
        return False
    # the proof starts at the last full subtree of the first tree, on this level
    level = (first & -first).bit_length() - 1
    place = (first - 1) >> level
    last = (second - 1) >> level
    old = nodes[0]
    new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if _is_right_child(place, last):
            old = node_hash(node, old)
            new = node_hash(node, new)
            place, last = _skip_lone_levels(place, last)
        else:
            new = node_hash(new, node)
        place >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


def _are_hashes(nodes: Sequence[bytes]) -> bool:
    return all(len(node) == 32 for node in nodes)


def _is_right_child(place: int, last: int) -> bool:
    """Return True if the sibling of the node at ``place`` of its level is on the left."""
    return place % 2 == 1 or place == last


def _skip_lone_levels(place: int, last: int) -> tuple[int, int]:
    """Climb the levels on which the node at ``place`` is the last one and has no sibling."""
    while place and place % 2 == 0:
        place >>= 1
        last >>= 1
    return place, last


def _split(n: int) -> int:
    """Return the largest power of two below n, for n ≥ 2."""
    return 1 << ((n - 1).bit_length() - 1)
