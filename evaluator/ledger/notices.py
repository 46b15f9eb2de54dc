"""Maintainers' signed notices about a sealed set: what of it no longer counts, and why.

What counts changes in steps that no outcome of an item, nor of a few, can be read from (:func:`retired`).

Notices of a set are chained like an evaluator's log. A reason is one of a list, never a text: a sentence about an
item could give it away.
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
    """``retire_block`` takes a block out, ``erratum`` one item, ``compromise`` the whole set."""

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


def sign_notice(private_key: Ed25519PrivateKey, **fields: object) -> Notice:
    """The signed notice with these fields. Raises ``notice_invalid`` for a kind without its block or item."""
    unsigned = Notice.from_dict({**fields, "signature": _UNSIGNED})
    _check_form(unsigned)
    return msgspec.structs.replace(
        unsigned, signature=signatures.sign(private_key, _signed_bytes(unsigned))
    )


def notice_hash(notice: Notice) -> Hex32:
    """The RFC 6962 leaf hash of a notice's canonical JSON, signature included."""
    return leaf_hash(canonical_json(notice.to_dict())).hex()


def verify_notices(manifest: Manifest, notices: Sequence[Notice]) -> Hex32:
    """Check all notices of a set, from its first; returns the last one's hash. Raises ``notice_invalid``."""
    keys = {party.name: party.public for party in manifest.maintainers}
    previous = GENESIS
    for position, notice in enumerate(notices):
        _check_form(notice)
        about_this = (notice.set, notice.root) == (manifest.name, manifest.root)
        follows = (notice.index, notice.previous) == (position, previous)
        key = keys.get(notice.maintainer, "")
        signed = signatures.verify(key, _signed_bytes(notice), notice.signature)
        if not (about_this and follows and signed and _exists(manifest, notice)):
            raise error(Code.NOTICE_INVALID, f"notice {position}")
        previous = notice_hash(notice)
    return previous


def named(manifest: Manifest, notices: Sequence[Notice]) -> tuple[frozenset[int], ...]:
    """The indices that each notice is about."""
    everything = frozenset(range(manifest.n))
    return tuple(
        manifest.indices([one.block])
        if one.block is not None
        else frozenset([one.item])
        if one.item is not None
        else everything
        for one in notices
    )


def retired(manifest: Manifest, notices: Sequence[Notice]) -> frozenset[int]:
    """The indices of the items that no longer count; no new run is asked them either.

    Of each of the set's parts, what notices name waits until it is at least the smallest cell and leaves as much, or
    leaves nothing. So all that is ever published is over whole pieces of at least so many items, and any two of such
    numbers differ by whole pieces.
    """
    about = named(manifest, notices)
    parts = (
        (frozenset(at for block in part for at in block.indices()) for part in manifest.parts())
        if about
        else ()
    )
    return frozenset[int]().union(*(_steps(part, about, manifest.cell) for part in parts))


def waiting(manifest: Manifest, notices: Sequence[Notice]) -> frozenset[int]:
    """The indices that notices name and that still count."""
    return frozenset[int]().union(*named(manifest, notices)) - retired(manifest, notices)


def retired_blocks(manifest: Manifest, notices: Sequence[Notice]) -> frozenset[BlockId]:
    """The blocks of which nothing counts any more, and that nobody is asked."""
    gone = retired(manifest, notices)
    return frozenset(block.id for block in manifest.blocks if gone.issuperset(block.indices()))


def _steps(part: frozenset[int], about: Sequence[frozenset[int]], cell: int) -> frozenset[int]:
    gone = waits = frozenset[int]()
    for items in about:
        waits |= part & items - gone
        left = part - gone
        if waits == left or cell <= len(waits) <= len(left) - cell:
            gone, waits = gone | waits, frozenset()
    return gone


def _check_form(notice: Notice) -> None:
    wanted = {
        "retire_block": (True, False),
        "erratum": (False, True),
        "compromise": (False, False),
    }[notice.kind]
    if (notice.block is not None, notice.item is not None) != wanted:
        raise error(Code.NOTICE_INVALID, notice.kind)


def _exists(manifest: Manifest, notice: Notice) -> bool:
    known = {block.id for block in manifest.blocks}
    return (notice.block is None or notice.block in known) and (
        notice.item is None or notice.item < manifest.n
    )


def _signed_bytes(notice: Notice) -> bytes:
    fields = notice.to_dict()
    del fields["signature"]
    return _DOMAIN + canonical_json(fields)
