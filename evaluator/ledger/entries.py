"""The lines of an evaluator's log: how one is signed, hashed and chained to the one before.

A line's hash is also its leaf in the log's RFC 6962 tree, so the chain and the tree speak of one thing.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import Exposure, Hex32, Line, LogLine, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger import signatures
from evaluator.ledger.tree import leaf_hash

GENESIS: Hex32 = "0" * 64
"""What the first line names as the hash of the line before."""

_DOMAIN = b"holdfast/log/v2\n"
_UNSIGNED = "0" * 128
_L = TypeVar("_L", bound=Line)


@dataclass(frozen=True)
class Head:
    """The end of a verified chain: the last line's index (-1 for none) and its hash."""

    index: int = -1
    hash: Hex32 = GENESIS


def origin(evaluator: str) -> str:
    """What an evaluator's signed tree heads name as their log."""
    return f"holdfast/log/{evaluator}"


def read_line(data: object) -> LogLine:
    """The line of any kind that JSON data holds. Raises ``bad_message``."""
    try:
        line: LogLine = msgspec.convert(data, LogLine, strict=True)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        raise error(Code.BAD_MESSAGE, "a line of a log") from None
    return line


def signed_bytes(entry: Line) -> bytes:
    """What an entry's signature covers: a domain line, then the canonical JSON of every other field."""
    fields = entry.to_dict()
    del fields["signature"]
    return _DOMAIN + canonical_json(fields)


def sign_entry(private_key: Ed25519PrivateKey, kind: type[_L], **fields: object) -> _L:
    """The signed line of this kind with these fields. Raises ``bad_message`` if one does not fit."""
    tag = kind.__struct_config__.tag
    unsigned = kind.from_dict({**fields, "kind": tag, "signature": _UNSIGNED})
    return msgspec.structs.replace(
        unsigned, signature=signatures.sign(private_key, signed_bytes(unsigned))
    )


def entry_hash(entry: LogLine) -> Hex32:
    """The RFC 6962 leaf hash of the entry's canonical JSON, signature included."""
    return leaf_hash(canonical_json(entry.to_dict())).hex()


def verify_entry(entry: LogLine, public_hex: str) -> bool:
    """Whether the entry was signed by ``public_hex`` and its count agrees with what it lists."""
    return _adds_up(entry) and signatures.verify(public_hex, signed_bytes(entry), entry.signature)


def _adds_up(entry: LogLine) -> bool:
    return _marked(entry.items) == entry.count if isinstance(entry, Exposure) else True


def _marked(bitmap: str) -> int:
    try:
        raw = base64.b64decode(bitmap, validate=True)
    except ValueError:
        return -1
    return (
        int.from_bytes(raw).bit_count() if base64.b64encode(raw).decode("ascii") == bitmap else -1
    )


def verify_chain(
    entries: Sequence[LogLine],
    public_hex: str,
    *,
    after_index: int = -1,
    after_hash: Hex32 = GENESIS,
) -> Head:
    """Check that ``entries`` follow a known line without a gap, all by one evaluator, and return the new end.

    ``after_index`` and ``after_hash`` name the last line already known (-1 and ``GENESIS`` before the first).
    Raises ``journal_broken`` with the position of the first line that does not fit.
    """
    head = Head(after_index, after_hash)
    for entry in entries:
        follows = entry.index == head.index + 1 and entry.previous == head.hash
        if not (
            follows and entry.evaluator == entries[0].evaluator and verify_entry(entry, public_hex)
        ):
            raise error(Code.JOURNAL_BROKEN, f"line {head.index + 2}")
        head = Head(entry.index, entry_hash(entry))
    return head
