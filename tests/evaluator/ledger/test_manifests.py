"""A manifest stands for exactly its leaves."""

import msgspec
import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.manifests import Block, Manifest, Party
from evaluator.ledger.tree import leaf_hash, root

LEAVES = [leaf_hash(bytes([number])) for number in range(5)]
MANIFEST = Manifest(
    name="twin",
    n=5,
    root=root(LEAVES).hex(),
    leaves=tuple(leaf.hex() for leaf in LEAVES),
    created="2026-01-02T03:04:05Z",
    seed_hash="5e" * 32,
    key_check="c4" * 32,
    blocks=(
        Block(id=0, stratum="exposed", start=0, n=2),
        Block(id=1, stratum="exposed", start=2, n=1),
        Block(id=2, stratum="local", start=3, n=1),
        Block(id=3, stratum="spare", start=4, n=1),
    ),
    seasons=(1,),
    cap=1,
    cell=1,
)


def test_verifies_and_round_trips() -> None:
    MANIFEST.verify()
    assert Manifest.from_dict(MANIFEST.to_dict()) == MANIFEST


@pytest.mark.parametrize(
    "changed",
    [
        {"n": 4},
        {"n": 6},
        {"root": "00" * 32},
        {"leaves": MANIFEST.leaves[:4]},
        {"leaves": MANIFEST.leaves[::-1]},
        {"leaves": (*MANIFEST.leaves, MANIFEST.leaves[-1]), "n": 6},
        {"leaves": ("00" * 32, *MANIFEST.leaves[1:])},
    ],
)
def test_any_other_leaves_are_refused(changed: dict[str, object]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        msgspec.structs.replace(MANIFEST, **changed).verify()
    assert caught.value.code is Code.SEAL_BROKEN


ONE, TWO = Party(name="one", public="01" * 32), Party(name="two", public="02" * 32)


@pytest.mark.parametrize(
    "changed",
    [
        {"blocks": MANIFEST.blocks[1:]},
        {"blocks": MANIFEST.blocks[:-1]},
        {"blocks": (MANIFEST.blocks[0], *MANIFEST.blocks)},
        {"blocks": MANIFEST.blocks[::-1]},
        {"blocks": (Block(id=1, stratum="exposed", start=0, n=2), *MANIFEST.blocks[1:])},
        {"seasons": (2,)},
        {"seasons": (3,)},
        {"seasons": (7,)},
        {"seasons": (1, 1), "cap": 2},
        {"cap": 0},
        {"cap": 2},
        {"quorum": 1},
        {"maintainers": (ONE,), "quorum": 0},
        {"maintainers": (ONE,), "quorum": 2},
        {"maintainers": (ONE, ONE), "quorum": 1},
        {"maintainers": (ONE, Party(name="two", public=ONE.public)), "quorum": 1},
        {"maintainers": (ONE,), "quorum": 1, "witnesses": (ONE,)},
    ],
)
def test_blocks_seasons_and_signers_that_do_not_fit(changed: dict[str, object]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        msgspec.structs.replace(MANIFEST, **changed).verify()
    assert caught.value.code is Code.ALLOCATION_INVALID


def test_blocks_by_stratum() -> None:
    msgspec.structs.replace(MANIFEST, maintainers=(ONE, TWO), quorum=2).verify()
    assert MANIFEST.block_ids(("exposed",)) == (0, 1)
    assert MANIFEST.indices((1, 3)) == {2, 4}
    with pytest.raises(EvaluatorError):
        MANIFEST.indices((4,))
