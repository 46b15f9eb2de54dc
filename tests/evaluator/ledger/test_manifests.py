"""A manifest stands for exactly its leaves."""

import msgspec
import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.tree import leaf_hash, root

LEAVES = [leaf_hash(bytes([number])) for number in range(5)]
MANIFEST = Manifest(
    name="twin",
    n=5,
    root=root(LEAVES).hex(),
    leaves=tuple(leaf.hex() for leaf in LEAVES),
    created="2026-01-02T03:04:05Z",
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
