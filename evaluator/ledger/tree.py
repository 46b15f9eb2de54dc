"""The Merkle tree of RFC 6962, section 2.1: one root that commits to a list, in order.

Leaves and inner nodes are hashed with different first bytes, so that neither can pass for the other, and
no leaf is ever doubled to fill a level.
"""

import hashlib
from collections.abc import Iterable, Sequence

from evaluator.errors import Code, error


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


class Tree:
    """A growing tree that gives the root of each of its earlier sizes, and proofs, in O(log² n) hashes."""

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
            self._levels[level + 1].append(node_hash(*self._levels[level][-2:]))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """The root over the first ``size`` leaves, of all without one. Raises ``bad_message`` out of range."""
        size = len(self) if size is None else size
        self._check(0 <= size <= len(self))
        return self._subtree(0, size) if size else hashlib.sha256(b"").digest()

    def inclusion(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        """RFC 6962, 2.1.1: the path from a leaf to the root of a size. Raises ``bad_message`` out of range."""
        size = len(self) if size is None else size
        self._check(0 <= index < size <= len(self))
        path, start, end = [], 0, size
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
        """RFC 6962, 2.1.2: that the first ``first`` leaves of a size are those of an earlier tree.

        Empty where the sizes are equal. Raises ``bad_message`` unless 1 ≤ first ≤ second ≤ length.
        """
        second = len(self) if second is None else second
        self._check(1 <= first <= second <= len(self))
        path, start, end = [], 0, second
        while end != first:
            middle = start + _split(end - start)
            if first <= middle:
                path.append(self._subtree(middle, end))
                end = middle
            else:
                path.append(self._subtree(start, middle))
                start = middle
        # the verifier knows the old root itself, so only a part of it is sent
        return tuple(reversed([*path, self._subtree(start, end)] if start else path))

    def _subtree(self, start: int, end: int) -> bytes:
        n = end - start
        if n & (n - 1) == 0 and start % n == 0:
            return self._levels[n.bit_length() - 1][start // n]
        middle = start + _split(n)
        return node_hash(self._subtree(start, middle), self._subtree(middle, end))

    @staticmethod
    def _check(in_range: bool) -> None:
        if not in_range:
            raise error(Code.BAD_MESSAGE, "a size or an index beyond the tree")


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """RFC 9162, 2.1.3.2: whether the leaf *hash* stands at ``index`` of the tree of this size and root."""
    if not 0 <= index < size or any(len(node) != 32 for node in (leaf, *proof)):
        return False
    place, last, computed = index, size - 1, leaf
    for node in proof:
        if last == 0:
            return False
        if place % 2 or place == last:
            computed = node_hash(node, computed)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            computed = node_hash(computed, node)
        place, last = place >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162, 2.1.4.2: whether the tree of ``second`` leaves begins with the ``first`` of the earlier root."""
    if not 1 <= first <= second or any(len(node) != 32 for node in proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    nodes = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not nodes:
        return False
    place, last = first - 1, second - 1
    while place % 2:
        place, last = place >> 1, last >> 1
    old = new = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if place % 2 or place == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while place % 2 == 0 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, node)
        place, last = place >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _split(n: int) -> int:
    """The largest power of two below n, for n ≥ 2."""
    return 1 << ((n - 1).bit_length() - 1)
