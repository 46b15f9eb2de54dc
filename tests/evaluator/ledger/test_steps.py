"""What counts changes in steps: no part of a set is ever split into pieces of fewer items than the smallest cell."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.contract import MIN_CELL_SIZE
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.manifests import Block, Manifest
from evaluator.ledger.notices import Kind, Notice, retired, retired_blocks, waiting
from evaluator.ledger.tree import leaf_hash, root
from tests.evaluator.ledger.test_manifests import MANIFEST

SIZES = (("exposed", 6), ("exposed", 5), ("exposed", 5), ("local", 8), ("spare", 3))
CELL = 5


def sealed(cell: int = CELL) -> Manifest:
    """Blocks 0 and 1 are exposed, 2 is a season's, 3 local, 4 spare; 27 items."""
    blocks, start = [], 0
    for number, (stratum, n) in enumerate(SIZES):
        blocks.append(Block(id=number, stratum=stratum, start=start, n=n))  # type: ignore[arg-type]
        start += n
    leaves = tuple(leaf_hash(bytes([number])).hex() for number in range(start))
    about = {
        "n": start,
        "leaves": leaves,
        "root": root([bytes.fromhex(one) for one in leaves]).hex(),
    }
    return msgspec.structs.replace(
        MANIFEST, **about, blocks=tuple(blocks), seasons=(2,), cap=5, cell=cell
    )


SET = sealed()


def said(kind: Kind, at: int | None = None) -> Notice:
    """Whether it is signed is no matter here."""
    where = {"retire_block": {"block": at}, "erratum": {"item": at}, "compromise": {}}[kind]
    fields = {
        "set": "twin",
        "root": SET.root,
        "index": 0,
        "previous": "00" * 32,
        "moment": "2026-02-01T00:00:00Z",
    }
    return Notice.from_dict(
        {
            **fields,
            **where,
            "kind": kind,
            "reason": "spent",
            "maintainer": "one",
            "signature": "0" * 128,
        }
    )


def errata(*items: int) -> list[Notice]:
    return [said("erratum", item) for item in items]


def test_an_erratum_waits_for_others_of_its_part() -> None:
    assert retired(SET, errata(0, 1, 6, 7)) == frozenset() and waiting(SET, errata(0, 1, 6, 7)) == {
        0,
        1,
        6,
        7,
    }
    assert retired(SET, errata(0, 1, 6, 7, 8)) == {0, 1, 6, 7, 8} and not waiting(
        SET, errata(0, 1, 6, 7, 8)
    )
    assert retired(SET, errata(0, 1, 6, 7, 16)) == frozenset(), "one of another part is no help"


def test_a_block_takes_what_waits_with_it_and_what_comes_later_waits() -> None:
    block = said("retire_block", 0)
    assert retired(SET, [*errata(6), block]) == frozenset(), "four would be left of the part"
    assert retired(SET, [block, *errata(6)]) == set(range(6)) and waiting(
        SET, [block, *errata(6)]
    ) == {6}
    assert retired_blocks(SET, [*errata(6), block]) == frozenset() and retired_blocks(
        SET, [block]
    ) == {0}
    assert retired(SET, [*errata(6), block, said("retire_block", 1)]) == set(range(11)), (
        "nothing is left of the part"
    )


def test_a_part_goes_as_a_whole_however_small_and_a_compromise_takes_everything() -> None:
    assert retired(SET, [said("retire_block", 2)]) == set(range(11, 16))
    assert retired(SET, [said("retire_block", 4)]) == {24, 25, 26}
    assert retired(SET, [*errata(0), said("compromise")]) == set(range(27))
    assert waiting(SET, [*errata(0), said("compromise")]) == frozenset()


def test_a_set_is_not_sealed_with_a_part_below_the_cell() -> None:
    """A spare part may be of any size: no score is over it."""
    for cell in (1, 5):
        sealed(cell).verify()
    with pytest.raises(EvaluatorError) as caught:
        sealed(6).verify()
    assert caught.value.code is Code.ALLOCATION_INVALID and "5 items, of at least 6" in str(
        caught.value
    )


def test_the_cell_is_sealed_with_the_set_and_never_above_the_usual_one() -> None:
    """Lowering it makes another manifest, which no signature is over; the usual one is left out, as ever."""
    usual, lower = sealed(MIN_CELL_SIZE), sealed(MIN_CELL_SIZE - 1)
    assert "cell" not in usual.to_dict() and lower.to_dict()["cell"] == MIN_CELL_SIZE - 1
    assert usual.digest() != lower.digest() and Manifest.from_dict(lower.to_dict()) == lower
    with pytest.raises(EvaluatorError):
        Manifest.from_dict(usual.to_dict() | {"cell": MIN_CELL_SIZE + 1})
    with pytest.raises(EvaluatorError):
        Manifest.from_dict(usual.to_dict() | {"cell": 0})


NOTICES = st.lists(
    st.one_of(
        st.integers(0, 26).map(lambda item: said("erratum", item)),
        st.integers(0, 4).map(lambda block: said("retire_block", block)),
    ),
    max_size=24,
)


@settings(max_examples=150, deadline=None)
@given(NOTICES)
def test_every_piece_that_two_states_tell_apart_is_a_cell_or_a_whole_part(
    notices: list[Notice],
) -> None:
    """Of each part: what went between two states, and what is left, is nothing, a cell at least, or all there was."""
    states = [retired(SET, notices[:size]) for size in range(len(notices) + 1)]
    assert all(before <= after for before, after in pairwise(states)), "nothing ever comes back"
    for part in SET.parts():
        items = {index for block in part for index in block.indices()}
        left = [items - state for state in states]
        for before, after in pairwise(left):
            assert after == before or not after or min(len(before - after), len(after)) >= CELL
