"""The tree against the reference roots of Certificate Transparency and against RFC 6962's own recursion."""

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.ledger.tree import leaf_hash, node_hash, root

# Test data and roots of the Certificate Transparency reference implementation (merkle tree unit tests).
CT_LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("n", range(9))
def test_ct_reference_root(n: int) -> None:
    assert root([leaf_hash(bytes.fromhex(data)) for data in CT_LEAVES[:n]]).hex() == CT_ROOTS[n]


def recursive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(recursive_root(leaves[:k]), recursive_root(leaves[k:]))


@given(st.lists(st.binary(max_size=3), max_size=130))
def test_levels_give_the_tree_of_the_recursion(data: list[bytes]) -> None:
    leaves = [leaf_hash(one) for one in data]
    assert root(leaves) == recursive_root(leaves)


def test_a_doubled_last_leaf_is_another_tree() -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(3)]
    assert root(leaves) != root([*leaves, leaves[-1]])


def test_a_node_cannot_pass_for_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert root([left, right]) != leaf_hash(left + right)
