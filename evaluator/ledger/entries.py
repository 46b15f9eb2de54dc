"""Lines of an evaluator's log: how they are signed, hashed and chained.

The hash of a line is also its leaf in the log's RFC 6962 tree, so the chain and the tree commit to
the same lines.
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
"""Hash that the first line names as that of the line before."""

_DOMAIN = b"holdfast/log/v2\n"
_UNSIGNED = "0" * 128
_L = TypeVar("_L", bound=Line)


@dataclass(frozen=True)
class Head:
    """End of a verified chain: index of the last line (-1 for none) and its hash."""

    index: int = -1
    hash: Hex32 = GENESIS


def origin(evaluator: str) -> str:
    """Return the origin line of the tree heads that an evaluator signs over its log."""
    return f"holdfast/log/{evaluator}"


def read_line(data: object) -> LogLine:
    """Return the line of any kind that JSON data hold. Raises ``bad_message``."""
    try:
        line: LogLine = msgspec.convert(data, LogLine, strict=True)
    except (msgspec.ValidationError, RecursionError, UnicodeError):
        raise error(Code.BAD_MESSAGE, "a line of a log") from None
    return line


def signed_bytes(entry: Line) -> bytes:
    """Return the bytes that a line's signature covers.

    A domain line, then the canonical JSON of every field but the signature.
    """
    fields = entry.to_dict()
    del fields["signature"]
    return _DOMAIN + canonical_json(fields)


def sign_entry(private_key: Ed25519PrivateKey, kind: type[_L], **fields: object) -> _L:
    """Return the signed line of this kind. Raises ``bad_message`` for a field that does not fit."""
    tag = kind.__struct_config__.tag
    unsigned_fields = {
        **fields,
        "kind": tag,
        "signature": _UNSIGNED,
    }
    unsigned = kind.from_dict(unsigned_fields)
    signature = signatures.sign(private_key, signed_bytes(unsigned))
    return msgspec.structs.replace(unsigned, signature=signature)


def entry_hash(entry: LogLine) -> Hex32:
    """Return the RFC 6962 leaf hash of the line's canonical JSON, signature included."""
    return leaf_hash(canonical_json(entry.to_dict())).hex()


def verify_entry(entry: LogLine, public_hex: str) -> bool:
    """Return True if ``public_hex`` signed the line and its count is the number of its items."""
    if isinstance(entry, Exposure):
        try:
            marked = base64.b64decode(entry.items, validate=True)
        except ValueError:
            return False
        is_canonical = base64.b64encode(marked).decode("ascii") == entry.items
        marked_count = int.from_bytes(marked).bit_count()
        if not is_canonical or marked_count != entry.count:
            return False
    return signatures.verify(public_hex, signed_bytes(entry), entry.signature)


def verify_chain(
    entries: Sequence[LogLine],
    public_hex: str,
    *,
    after_index: int = -1,
    after_hash: Hex32 = GENESIS,
) -> Head:
    """Check that ``entries`` continue a verified line without a gap, and return the new end.

    ``after_index`` and ``after_hash`` are of the last verified line (-1 and ``GENESIS`` before the
    first). All lines must be by one evaluator. Raises ``journal_broken`` with the position of the
    first line that does not fit.
    """
    head = Head(after_index, after_hash)
    for entry in entries:
        follows = entry.index == head.index + 1 and entry.previous == head.hash
        same_author = entry.evaluator == entries[0].evaluator
        if not (follows and same_author and verify_entry(entry, public_hex)):
            raise error(Code.JOURNAL_BROKEN, f"line {head.index + 2}")
        head = Head(entry.index, entry_hash(entry))
    return head
