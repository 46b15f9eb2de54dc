"""Maintainers' signed notices that retire blocks, items or the whole of a sealed set, with reasons.

The items that count change in steps that reveal the outcome of no single item, nor of a few
(:func:`retired`). Notices of a set are chained like an evaluator's log. A reason is one of a list,
never a text: a sentence about an item could disclose it.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import BlockId, Count, Hex32, Moment, Name, Signature, Wire, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.tree import leaf_hash

Kind = Literal["retire_block", "erratum", "compromise"]
Reason = Literal["spent", "leaked", "key_lost", "wrong_gold", "ambiguous", "duplicate"]

_DOMAIN = b"holdfast/notice/v1\n"
_UNSIGNED = "0" * 128


class Notice(Wire, frozen=True, kw_only=True):
    """Notice that retires a block, an item (``erratum``) or the whole set (``compromise``)."""

    version: Literal[1] = 1
    set: Name
    root: Hex32
    index: Count
    previous: Hex32
    moment: Moment
    kind: Kind
    block: BlockId | None = None
    item: Count | None = None
    reason: Reason
    maintainer: Name
    signature: Signature

    def indices(self, manifest: Manifest) -> frozenset[int]:
        """Return the indices of the items that it names."""
        if self.block is not None:
            return manifest.indices([self.block])
        if self.item is not None:
            return frozenset([self.item])
        return frozenset(range(manifest.n))


def sign_notice(private_key: Ed25519PrivateKey, **fields: object) -> Notice:
    """Return the signed notice. Raises ``notice_invalid`` for a kind without its block or item."""
    unsigned_fields = {**fields, "signature": _UNSIGNED}
    unsigned = Notice.from_dict(unsigned_fields)
    _check_fields(unsigned)
    message = _signed_bytes(unsigned)
    signature = signatures.sign(private_key, message)
    return msgspec.structs.replace(unsigned, signature=signature)


def notice_hash(notice: Notice) -> Hex32:
    """Return the RFC 6962 leaf hash of a notice's canonical JSON, signature included."""
    return leaf_hash(canonical_json(notice.to_dict())).hex()


def verify_notices(
    manifest: Manifest,
    notices: Sequence[Notice],
) -> Hex32:
    """Check all notices of a set, from its first; return the hash of the last.

    Raises ``notice_invalid``.
    """
    keys = {party.name: party.public for party in manifest.maintainers}
    blocks = {block.id for block in manifest.blocks}
    previous = GENESIS
    for position, notice in enumerate(notices):
        _check_fields(notice)
        about_set = notice.set == manifest.name and notice.root == manifest.root
        follows = notice.index == position and notice.previous == previous
        key = keys.get(notice.maintainer, "")
        message = _signed_bytes(notice)
        signed = signatures.verify(key, message, notice.signature)
        has_block = notice.block is None or notice.block in blocks
        has_item = notice.item is None or notice.item < manifest.n
        if not all((about_set, follows, signed, has_block, has_item)):
            raise error(Code.NOTICE_INVALID, f"notice {position}")
        previous = notice_hash(notice)
    return previous


def named(
    manifest: Manifest,
    notices: Sequence[Notice],
) -> tuple[frozenset[int], ...]:
    """Return the indices that each notice names."""
    return tuple(notice.indices(manifest) for notice in notices)


def retired(manifest: Manifest, notices: Sequence[Notice]) -> frozenset[int]:
    """Return the indices of the items that no longer count, and that no new run is asked.

    In each part of the set, the named items wait until they are at least the minimum cell size and
    as many are left, or until none is left. So each published number is over whole pieces of at
    least so many items, and any two of them differ by whole pieces.
    """
    if not notices:
        return frozenset()
    names = named(manifest, notices)
    retired_items: set[int] = set()
    for blocks in manifest.parts():
        ids = [block.id for block in blocks]
        part = manifest.indices(ids)
        retired_items |= _retired_of_part(part, names, manifest.cell)
    return frozenset(retired_items)


def waiting(manifest: Manifest, notices: Sequence[Notice]) -> frozenset[int]:
    """Return the indices that notices name and that still count."""
    names = named(manifest, notices)
    all_named = frozenset[int]().union(*names)
    return all_named - retired(manifest, notices)


def retired_blocks(
    manifest: Manifest,
    notices: Sequence[Notice],
) -> frozenset[BlockId]:
    """Return the blocks without an item that still counts; no run is asked them."""
    gone = retired(manifest, notices)
    blocks: set[BlockId] = set()
    for block in manifest.blocks:
        if gone.issuperset(block.indices()):
            blocks.add(block.id)
    return frozenset(blocks)


def _retired_of_part(
    part: frozenset[int],
    names: Sequence[frozenset[int]],
    cell: int,
) -> frozenset[int]:
    gone: frozenset[int] = frozenset()
    pending: frozenset[int] = frozenset()
    for items in names:
        pending |= part & items - gone
        left = part - gone
        if pending == left or cell <= len(pending) <= len(left) - cell:
            gone |= pending
            pending = frozenset()
    return gone


def _check_fields(notice: Notice) -> None:
    wanted = {
        "retire_block": (True, False),
        "erratum": (False, True),
        "compromise": (False, False),
    }[notice.kind]
    has_block = notice.block is not None
    has_item = notice.item is not None
    if (has_block, has_item) != wanted:
        raise error(Code.NOTICE_INVALID, notice.kind)


def _signed_bytes(notice: Notice) -> bytes:
    fields = notice.to_dict()
    del fields["signature"]
    return _DOMAIN + canonical_json(fields)
