"""The journal's lines: signed, chained, and verified as a whole."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.contract import Exposure, canonical_json, pack_bits
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.entries import (
    GENESIS,
    Head,
    entry_hash,
    sign_entry,
    signed_bytes,
    verify_chain,
    verify_entry,
)
from evaluator.ledger.tree import leaf_hash

KEY = signatures.generate()
PUBLIC = signatures.public_hex(KEY)


def fields(**changed: Any) -> dict[str, Any]:
    usual = {
        "evaluator": "host-a",
        "index": 0,
        "previous": GENESIS,
        "moment": "2026-01-02T03:04:05.678901Z",
        "run": "12345678-1234-1234-1234-123456789012",
        "token": 1,
        "set": "twin",
        "root": "ab" * 32,
        "recipient": "jail",
        "tier": "T0",
        "items": pack_bits([1, 3], 20),
        "count": 2,
    }
    return {**usual, **changed}


def chain(length: int) -> list[Exposure]:
    entries: list[Exposure] = []
    head = Head()
    for index in range(length):
        entries.append(
            sign_entry(KEY, Exposure, **fields(index=index, previous=head.hash, token=index + 1))
        )
        head = Head(index, entry_hash(entries[-1]))
    return entries


def broken(entries: list[Exposure], **after: Any) -> None:
    with pytest.raises(EvaluatorError) as caught:
        verify_chain(entries, PUBLIC, **after)
    assert caught.value.code is Code.JOURNAL_BROKEN


def test_a_chain_verifies_in_one_piece_and_in_several() -> None:
    entries = chain(5)
    end = Head(4, entry_hash(entries[4]))
    assert verify_chain(entries, PUBLIC) == end
    middle = verify_chain(entries[:2], PUBLIC)
    assert (
        verify_chain(entries[2:], PUBLIC, after_index=middle.index, after_hash=middle.hash) == end
    )
    assert verify_chain([], PUBLIC) == Head(-1, GENESIS)


@pytest.mark.parametrize("missing", range(4))
def test_a_missing_line_is_found(missing: int) -> None:
    entries = chain(5)
    broken(entries[:missing] + entries[missing + 1 :])


def test_swapped_doubled_and_foreign_lines_are_found() -> None:
    entries = chain(4)
    broken([entries[1], entries[0]])
    broken([entries[0], entries[0]])
    broken(entries, after_index=0, after_hash=GENESIS)
    broken(entries[1:], after_index=0, after_hash="1" * 64)
    other = sign_entry(
        KEY, Exposure, **fields(evaluator="host-b", index=4, previous=entry_hash(entries[3]))
    )
    broken([*entries, other])


CHANGES = {
    "evaluator": "host-b",
    "index": 1,
    "previous": "1" * 64,
    "moment": "2026-01-02T03:04:05Z",
    "run": "12345678-1234-1234-1234-123456789013",
    "token": 2,
    "set": "other",
    "root": "cd" * 32,
    "recipient": "api.example",
    "tier": "T1",
    "items": pack_bits([1, 4], 20),
    "count": 3,
    "plan": "ef" * 32,
    "signature": "0" * 128,
}


@pytest.mark.parametrize("field", Exposure.__struct_fields__)
def test_the_signature_covers_every_field(field: str) -> None:
    entry = sign_entry(KEY, Exposure, **fields())
    assert verify_entry(entry, PUBLIC)
    changed = msgspec.structs.replace(entry, **{field: 3 if field == "version" else CHANGES[field]})
    assert not verify_entry(changed, PUBLIC)
    assert entry_hash(changed) != entry_hash(entry)


def test_a_count_that_does_not_count_the_items_is_refused() -> None:
    assert not verify_entry(sign_entry(KEY, Exposure, **fields(count=3)), PUBLIC)
    assert not verify_entry(sign_entry(KEY, Exposure, **fields(items="AAA")), PUBLIC)


def test_the_hash_is_the_logs_leaf() -> None:
    entry = sign_entry(KEY, Exposure, **fields())
    assert entry_hash(entry) == leaf_hash(canonical_json(entry.to_dict())).hex()


def test_signed_bytes_differ_in_kind_from_a_reports() -> None:
    assert not signed_bytes(sign_entry(KEY, Exposure, **fields())).startswith(b"{")


@given(st.sets(st.integers(0, 199)))
def test_any_items_round_trip(indices: set[int]) -> None:
    entry = sign_entry(KEY, Exposure, **fields(items=pack_bits(indices, 200), count=len(indices)))
    assert verify_entry(Exposure.from_dict(entry.to_dict()), PUBLIC)


@pytest.mark.parametrize(
    "changed", [{"tier": "T9"}, {"recipient": "A B"}, {"token": 0}, {"set": "../x"}, {"extra": 1}]
)
def test_fields_that_do_not_fit_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        sign_entry(KEY, Exposure, **fields(**changed))
    assert caught.value.code is Code.BAD_MESSAGE
