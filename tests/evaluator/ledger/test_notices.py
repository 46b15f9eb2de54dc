"""Notices: chained, signed by maintainers, and what they take out of a set."""

from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import canonical_json
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Manifest, Party
from evaluator.ledger.notices import (
    Notice,
    notice_hash,
    retired,
    retired_blocks,
    sign_notice,
    verify_notices,
)
from tests.evaluator.ledger.test_manifests import MANIFEST

ONE, TWO, FOREIGN = (
    Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2, 3)
)
PARTIES = tuple(
    Party(name=name, public=signatures.public_hex(key))
    for name, key in (("one", ONE), ("two", TWO))
)
SET: Manifest = msgspec.structs.replace(MANIFEST, maintainers=PARTIES, quorum=1)
FIELDS: dict[str, dict[str, object]] = {
    "retire_block": {"block": 1, "reason": "spent"},
    "erratum": {"item": 0, "reason": "wrong_gold"},
    "compromise": {"reason": "leaked"},
}


def notice(
    *before: Notice, kind: str = "erratum", key: Ed25519PrivateKey = ONE, **changed: Any
) -> Notice:
    fields = {
        "set": SET.name,
        "root": SET.root,
        "index": len(before),
        "previous": notice_hash(before[-1]) if before else GENESIS,
        "moment": "2026-02-01T00:00:00Z",
        "kind": kind,
        "maintainer": "one",
        **FIELDS[kind],
    }
    return sign_notice(key, **{**fields, **changed})


def refuse(*notices: Notice) -> None:
    with pytest.raises(EvaluatorError) as caught:
        verify_notices(SET, notices)
    assert caught.value.code is Code.NOTICE_INVALID


def test_a_chain_of_every_kind_by_two_maintainers() -> None:
    first = notice(kind="retire_block")
    second = notice(first, kind="erratum", key=TWO, maintainer="two")
    third = notice(first, second, kind="compromise")
    assert verify_notices(SET, ()) == GENESIS
    assert verify_notices(SET, (first, second, third)) == notice_hash(third)
    assert Notice.from_dict(third.to_dict()) == third


def test_what_no_longer_counts() -> None:
    """Where the smallest cell is one item, nothing ever waits."""
    block = notice(kind="retire_block")
    item = notice(block)
    gone = notice(block, item, kind="compromise")
    assert (retired(SET, ()), retired_blocks(SET, ())) == (frozenset(), frozenset())
    assert (retired(SET, [block]), retired_blocks(SET, [block])) == ({2}, {1})
    assert (retired(SET, [block, item]), retired_blocks(SET, [block, item])) == ({0, 2}, {1})
    everything = (retired(SET, [block, item, gone]), retired_blocks(SET, [block, item, gone]))
    assert everything == (frozenset(range(5)), {0, 1, 2, 3})


def test_fault_t012_the_same_twice_is_two_notices_and_one_loss() -> None:
    first = notice()
    again = notice(first)
    inside = notice(first, again, item=2)
    block = notice(first, again, inside, kind="retire_block")
    assert verify_notices(SET, (first, again, inside, block)) == notice_hash(block)
    assert retired(SET, (first, again)) == {0} and retired(SET, (first, again, inside, block)) == {
        0,
        2,
    }


def test_order_gaps_and_repeats() -> None:
    first = notice()
    second = notice(first, kind="retire_block")
    refuse(second)
    refuse(second, first)
    refuse(first, first)
    refuse(first, second, second)
    refuse(notice(first))
    refuse(first, notice(first, index=2))
    refuse(first, notice(first, previous=GENESIS))


@pytest.mark.parametrize(
    "changed",
    [
        {"set": "another"},
        {"root": "00" * 32},
        {"item": 5},
        {"maintainer": "two"},
        {"maintainer": "outsider"},
        {"key": FOREIGN},
        {"key": TWO},
        {"kind": "retire_block", "block": 4},
    ],
    ids=",".join,
)
def test_about_another_set_or_item_or_by_another_signer(changed: dict[str, Any]) -> None:
    refuse(notice(**changed))


@pytest.mark.parametrize("field", ["moment", "reason", "item", "maintainer", "signature"])
def test_any_field_that_is_changed_later(field: str) -> None:
    signed = notice()
    other = {
        "moment": "2026-02-01T00:00:01Z",
        "reason": "ambiguous",
        "item": 1,
        "maintainer": "two",
    }
    other["signature"] = signatures.sign(ONE, b"something else")
    refuse(msgspec.structs.replace(signed, **{field: other[field]}))


@pytest.mark.parametrize(
    "changed",
    [
        {"kind": "retire_block", "block": None},
        {"kind": "retire_block", "item": 0},
        {"item": None},
        {"block": 1},
        {"kind": "compromise", "item": 0},
        {"kind": "compromise", "block": 0},
    ],
    ids=str,
)
def test_a_kind_with_what_it_does_not_take(changed: dict[str, Any]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        notice(**changed)
    assert caught.value.code is Code.NOTICE_INVALID


@pytest.mark.parametrize(
    "changed", [{"reason": "item 3 says 7"}, {"item": -1}, {"more": 1}, {"moment": "now"}], ids=str
)
def test_a_reason_is_never_a_text(changed: dict[str, Any]) -> None:
    """A sentence about an item could give it away."""
    with pytest.raises(EvaluatorError) as caught:
        notice(**changed)
    assert caught.value.code is Code.BAD_MESSAGE


def test_a_form_that_was_signed_nevertheless() -> None:
    """Signed by other means than ours: the fields of a chain are checked, too."""
    signed = notice()
    wrong = msgspec.structs.replace(signed, block=1)
    fields = wrong.to_dict()
    del fields["signature"]
    made = signatures.sign(ONE, b"holdfast/notice/v1\n" + canonical_json(fields))
    refuse(msgspec.structs.replace(wrong, signature=made))


def test_a_set_without_maintainers_takes_no_notice() -> None:
    with pytest.raises(EvaluatorError):
        verify_notices(MANIFEST, [notice()])
