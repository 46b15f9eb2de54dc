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
        {"stages": ((0,),)},
        {"stages": ((0,), (0, 1))},
        {"stages": ((0, 1), ())},
        {"stages": ((0,), (1, 2))},
        {"stages": ((0,), (7,))},
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


def test_a_stage_below_the_minimum_cell_size_is_refused() -> None:
    staged = msgspec.structs.replace(MANIFEST, stages=((0,), (1,)), seasons=(), cap=0)
    staged.verify()
    with pytest.raises(EvaluatorError) as caught:
        msgspec.structs.replace(staged, cell=2).verify()
    assert caught.value.code is Code.ALLOCATION_INVALID


def test_stages_are_parts_without_their_seasons() -> None:
    assert [[block.id for block in part] for part in MANIFEST.parts()] == [[0], [1], [2], [3]]
    together = msgspec.structs.replace(MANIFEST, seasons=(), cap=0)
    assert [[block.id for block in part] for part in together.parts()] == [[0, 1], [2], [3]]
    staged = msgspec.structs.replace(together, stages=((1,), (0,)))
    assert [[block.id for block in part] for part in staged.parts()] == [[0], [1], [2], [3]]


def test_a_manifest_without_stages_has_the_bytes_of_older_ones() -> None:
    assert "stages" not in MANIFEST.to_dict()
    staged = msgspec.structs.replace(MANIFEST, stages=((1,), (0,)))
    assert Manifest.from_dict(staged.to_dict()) == staged


def test_blocks_by_stratum() -> None:
    msgspec.structs.replace(MANIFEST, maintainers=(ONE, TWO), quorum=2).verify()
    assert MANIFEST.block_ids(("exposed",)) == (0, 1)
    assert MANIFEST.indices((1, 3)) == {2, 4}
    with pytest.raises(EvaluatorError):
        MANIFEST.indices((4,))
