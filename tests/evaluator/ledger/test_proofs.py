"""Every inclusion and consistency proof of trees up to 64 leaves, every way to spoil one, and another library's word."""

from collections.abc import Iterator, Sequence

import pytest
from pymerkle import InmemoryTree, InvalidProof
from pymerkle import verify_consistency as their_consistency
from pymerkle import verify_inclusion as their_inclusion

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.tree import (
    Tree,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)

N = 64
DATA = [b"leaf %d" % number for number in range(N)]
LEAVES = [leaf_hash(data) for data in DATA]
TREE = Tree(LEAVES)
ROOTS = [root(LEAVES[:n]) for n in range(N + 1)]
SIZES = range(1, N + 1)


def spoilt(proof: Sequence[bytes]) -> Iterator[list[bytes]]:
    """One node changed, missing, doubled, cut short or exchanged with the next; one node more at either end."""
    nodes = list(proof)
    for place, node in enumerate(nodes):
        yield [*nodes[:place], bytes([node[0] ^ 1]) + node[1:], *nodes[place + 1 :]]
        yield nodes[:place] + nodes[place + 1 :]
        yield [*nodes[:place], node, *nodes[place:]]
        yield [*nodes[:place], node[:31], *nodes[place + 1 :]]
        yield [*nodes[:place], node + b"\x00", *nodes[place + 1 :]]
    for place in range(len(nodes) - 1):
        yield [*nodes[:place], nodes[place + 1], nodes[place], *nodes[place + 2 :]]
    yield [*nodes, bytes(32)]
    yield [bytes(32), *nodes]


def near(size: int) -> set[int]:
    """Other sizes that a proof might be taken for: the next ones, and those with full subtrees of as many levels."""
    full = 1 << (size - 1).bit_length()
    return ({size - 1, size + 1, size ^ 1, full, full // 2} - {size}) & set(SIZES)


def test_the_growing_tree_has_every_earlier_root() -> None:
    assert (
        [TREE.root(n) for n in range(N + 1)] == ROOTS and TREE.root() == ROOTS[N] and len(TREE) == N
    )


@pytest.mark.parametrize("size", SIZES)
def test_every_inclusion_proof(size: int) -> None:
    for index in range(size):
        proof, leaf = TREE.inclusion(index, size), LEAVES[index]
        assert verify_inclusion(leaf, index, size, proof, ROOTS[size])
        assert not any(
            verify_inclusion(leaf, index, size, wrong, ROOTS[size]) for wrong in spoilt(proof)
        )
        others = [other for other in range(-1, size + 2) if other != index]
        assert not any(verify_inclusion(leaf, other, size, proof, ROOTS[size]) for other in others)
        strangers = [other for number, other in enumerate(LEAVES) if number != index]
        assert not any(
            verify_inclusion(other, index, size, proof, ROOTS[size]) for other in strangers[:4]
        )
        assert not any(
            verify_inclusion(leaf, index, other, proof, ROOTS[other]) for other in near(size)
        )


@pytest.mark.parametrize("second", SIZES)
def test_every_consistency_proof(second: int) -> None:
    for first in range(1, second + 1):
        proof = TREE.consistency(first, second)
        assert verify_consistency(first, second, ROOTS[first], ROOTS[second], proof)
        wrongs = [wrong for wrong in spoilt(proof) if wrong != list(proof)]
        assert not any(
            verify_consistency(first, second, ROOTS[first], ROOTS[second], wrong)
            for wrong in wrongs
        )
        for other in near(first) - {second}:
            assert not verify_consistency(other, second, ROOTS[other], ROOTS[second], proof)
        for other in near(second) - {first}:
            assert not verify_consistency(first, other, ROOTS[first], ROOTS[other], proof)
        if first < second:
            assert not verify_consistency(first, second, ROOTS[second], ROOTS[second], proof)
            assert not verify_consistency(first, second, ROOTS[first], ROOTS[first], proof)
            assert not verify_consistency(second, first, ROOTS[second], ROOTS[first], proof)


def test_fault_t005_sizes_and_indices_that_cannot_be() -> None:
    leaf, proof = LEAVES[2], TREE.inclusion(2, 7)
    for index, size in (
        (2, 0),
        (0, 0),
        (7, 7),
        (8, 7),
        (-1, 7),
        (2, -7),
        (2, 1 << 62),
        (1 << 62, 1 << 62),
    ):
        assert not verify_inclusion(leaf, index, size, proof, ROOTS[7])
    old = TREE.consistency(3, 7)
    for first, second in (
        (0, 7),
        (-3, 7),
        (8, 7),
        (3, 0),
        (3, 1 << 62),
        (1 << 62, 1 << 62),
        (0, 0),
    ):
        assert not verify_consistency(first, second, ROOTS[3], ROOTS[7], old)
    assert not verify_consistency(0, 7, ROOTS[0], ROOTS[7], [])


def test_fault_t005_an_inner_node_is_no_leaf() -> None:
    """The second preimage: what a node is made of, given as a leaf's data, or its hash given as a leaf's."""
    inner, forged = node_hash(LEAVES[0], LEAVES[1]), leaf_hash(LEAVES[0] + LEAVES[1])
    upper = TREE.inclusion(0, 4)[1:]
    assert not verify_inclusion(forged, 0, 2, upper, ROOTS[4])
    assert not verify_inclusion(inner, 0, 4, upper, ROOTS[4])
    assert not verify_inclusion(forged, 0, 4, upper, ROOTS[4])


def test_hashes_of_another_length() -> None:
    """The same 64 bytes cut elsewhere have the same hash, and a tree of one leaf has no hash at all above it."""
    left, right = LEAVES[:2]
    assert node_hash(left + right[:1], right[1:]) == ROOTS[2]
    assert not verify_inclusion(left + right[:1], 0, 2, [right[1:]], ROOTS[2])
    assert not verify_inclusion(left[:31], 0, 2, [left[31:] + right], ROOTS[2])
    assert not verify_inclusion(b"x", 0, 1, [], b"x")
    head, tail = TREE.consistency(3, 4)[:2], TREE.consistency(3, 4)[2:]
    assert not verify_consistency(3, 4, ROOTS[3], ROOTS[4], [head[0], head[1] + b"x", *tail])
    assert not verify_consistency(1, 2, left + right[:1], ROOTS[2], [right[1:]])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_huge_size_ends_at_once(size: int) -> None:
    assert not verify_inclusion(LEAVES[0], 0, 1 << 100_000, TREE.inclusion(0, size), ROOTS[size])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: TREE.root(-1),
        lambda: TREE.root(N + 1),
        lambda: TREE.inclusion(-1),
        lambda: TREE.inclusion(N),
        lambda: TREE.inclusion(3, 3),
        lambda: TREE.inclusion(0, N + 1),
        lambda: TREE.inclusion(0, 0),
        lambda: TREE.consistency(0),
        lambda: TREE.consistency(5, 4),
        lambda: TREE.consistency(1, N + 1),
        lambda: Tree().inclusion(0),
    ],
)
def test_proofs_that_do_not_exist(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(EvaluatorError) as caught:
        ask()
    assert caught.value.code is Code.BAD_MESSAGE


# --- the same from pymerkle, a library that we had no hand in


@pytest.fixture(scope="module")
def theirs() -> InmemoryTree:
    tree = InmemoryTree(algorithm="sha256")
    for data in DATA:
        tree.append_entry(data)
    return tree


def test_pymerkle_has_the_same_roots(theirs: InmemoryTree) -> None:
    assert [theirs.get_root(n) for n in SIZES] == ROOTS[1:]
    assert [theirs.get_leaf(n) for n in SIZES] == LEAVES


def test_pymerkle_has_the_same_inclusion_proofs(theirs: InmemoryTree) -> None:
    """Its path begins with the leaf itself, and it counts from one."""
    for size in SIZES:
        for index in range(size):
            proof = theirs.prove_inclusion(index + 1, size)
            assert tuple(proof.path[1:]) == TREE.inclusion(index, size)
            their_inclusion(LEAVES[index], ROOTS[size], proof)


def test_pymerkle_finds_the_same_trees_consistent(theirs: InmemoryTree) -> None:
    """Its proofs are cut into other subtrees than RFC 6962's, so each library proves and both must agree on roots."""
    for second in SIZES:
        for first in range(1, second):
            proof = theirs.prove_consistency(first, second)
            their_consistency(ROOTS[first], ROOTS[second], proof)
            with pytest.raises(InvalidProof):
                their_consistency(ROOTS[first - 1], ROOTS[second], proof)
            if first & (first - 1):
                assert TREE.consistency(first, second)[0] in proof.path
