"""The lines of an evaluator's exposure journal: how one is signed, hashed and chained to the one before.

A line's hash is also its leaf in the log's RFC 6962 tree, so the chain and the tree speak of one thing.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import Exposure, Hex32, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger import signatures
from evaluator.ledger.tree import leaf_hash

GENESIS: Hex32 = "0" * 64
"""What the first line names as the hash of the line before."""

_DOMAIN = b"holdfast/exposure/v1\n"
_UNSIGNED = "0" * 128


@dataclass(frozen=True)
class Head:
    """The end of a verified chain: the last line's index (-1 for none) and its hash."""

    index: int = -1
    hash: Hex32 = GENESIS


def signed_bytes(entry: Exposure) -> bytes:
    """What an entry's signature covers: a domain line, then the canonical JSON of every other field."""
    fields = entry.to_dict()
    del fields["signature"]
    return _DOMAIN + canonical_json(fields)


def sign_entry(private_key: Ed25519PrivateKey, **fields: object) -> Exposure:
    """The signed entry with these fields of :class:`Exposure`. Raises ``bad_message`` if one does not fit."""
    unsigned = Exposure.from_dict({**fields, "signature": _UNSIGNED})
    return msgspec.structs.replace(unsigned, signature=signatures.sign(private_key, signed_bytes(unsigned)))


def entry_hash(entry: Exposure) -> Hex32:
    """The RFC 6962 leaf hash of the entry's canonical JSON, signature included."""
    return leaf_hash(canonical_json(entry.to_dict())).hex()


def verify_entry(entry: Exposure, public_hex: str) -> bool:
    """Whether the entry was signed by ``public_hex`` and counts the items that it marks."""
    try:
        marked = int.from_bytes(base64.b64decode(entry.items, validate=True)).bit_count()
    except ValueError:
        return False
    return marked == entry.count and signatures.verify(public_hex, signed_bytes(entry), entry.signature)


def verify_chain(
    entries: Sequence[Exposure], public_hex: str, *, after_index: int = -1, after_hash: Hex32 = GENESIS
) -> Head:
    """Check that ``entries`` follow a known line without a gap, all by one evaluator, and return the new end.

    ``after_index`` and ``after_hash`` name the last line already known (-1 and ``GENESIS`` before the first).
    Raises ``journal_broken`` with the position of the first line that does not fit.
    """
    head = Head(after_index, after_hash)
    for entry in entries:
        follows = entry.index == head.index + 1 and entry.previous == head.hash
        if not (follows and entry.evaluator == entries[0].evaluator and verify_entry(entry, public_hex)):
            raise error(Code.JOURNAL_BROKEN, f"line {head.index + 2}")
        head = Head(entry.index, entry_hash(entry))
    return head
