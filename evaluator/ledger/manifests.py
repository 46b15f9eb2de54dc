"""The public facts that commit to a sealed set, and who an evaluator is: what the site registers."""

from collections.abc import Collection, Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal

from msgspec import Meta

from evaluator.contract import LEAST_CELL, BlockId, Count, Hex32, Moment, Name, Wire, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger.notes import TreeHead, cosigned_by, open_note, verify_head
from evaluator.ledger.rules import Rule
from evaluator.ledger.tree import leaf_hash, root

Stratum = Literal["exposed", "local", "spare"]
"""Exposed blocks may go to endpoints, by tier; local ones to weights we run only; spare ones to nobody."""
SIZE = Annotated[int, Meta(ge=1, le=1_000_000)]


class ShotFacts(Wire, frozen=True, kw_only=True):
    """A set's public pool of shots: how many, and the digest of their list (``items.set_digest``)."""

    n: SIZE
    digest: Hex32


class Block(Wire, frozen=True, kw_only=True):
    """A run of ``n`` indices from ``start``. Which item has which index is drawn from a committed seed."""

    id: BlockId
    stratum: Stratum
    start: Count
    n: SIZE

    def indices(self) -> range:
        """The indices of its items."""
        return range(self.start, self.start + self.n)


class Party(Wire, frozen=True, kw_only=True):
    """Somebody who signs: a name and an Ed25519 public key."""

    name: Name
    public: Hex32


class Terms(Wire, frozen=True, kw_only=True):
    """How the set is asked and graded; the digests are those of the published protocol and grader."""

    protocol: Name
    protocol_digest: Hex32
    grader: Name
    grader_digest: Hex32


class Twins(Wire, frozen=True, kw_only=True):
    """That the set and the public one of digest ``public`` are exchangeable by construction, and what made them so: one
    generator with other seeds, or one set split at random."""

    public: Hex32
    by: Literal["generator", "split"]


class Manifest(Wire, frozen=True, kw_only=True):
    """What is public of a sealed set before its first run.

    ``leaves`` are salted RFC 6962 leaf hashes, and ``root`` that of their tree. ``seed_hash`` commits to the seed
    that dealt the items into ``blocks``, which cover 0 … n-1 in order; ``key_check`` to the key that encrypts them.
    ``seasons`` are the exposed blocks that self-declared endpoints see, one after the other; ``cap`` is the number
    of their items, and so of all that such endpoints ever see together. ``quorum`` of ``maintainers`` release the
    set once ``rule`` is met; ``witnesses`` may cosign its tree head. ``licence`` is what it is released under (SPDX).
    ``twins`` is there where the set is as hard as a public one by the way both were made, not by anybody's judgement.
    ``cell`` is the fewest items that any published number may be over, or that two of them may differ by.

    From version 3 on it commits to the files too: ``ciphertexts`` is the RFC 6962 root over the ciphertexts' lines,
    ``sealed_seed`` the leaf hash of the sealed seed's line. So everybody who holds the folder can check all of it
    without a key.
    """

    version: Literal[2, 3] = 2
    name: Name
    n: SIZE
    root: Hex32
    leaves: Annotated[tuple[Hex32, ...], Meta(min_length=1, max_length=1_000_000)]
    shots: ShotFacts | None = None
    created: Moment
    seed_hash: Hex32
    key_check: Hex32
    ciphertexts: Hex32 | None = None
    sealed_seed: Hex32 | None = None
    blocks: Annotated[tuple[Block, ...], Meta(min_length=1, max_length=10_000)]
    seasons: Annotated[tuple[BlockId, ...], Meta(max_length=1000)] = ()
    cap: Count = 0
    terms: Terms | None = None
    rule: Rule | None = None
    maintainers: Annotated[tuple[Party, ...], Meta(max_length=20)] = ()
    quorum: Annotated[int, Meta(ge=0, le=20)] = 0
    witnesses: Annotated[tuple[Party, ...], Meta(max_length=20)] = ()
    licence: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.+-]{1,60}\Z")] = "CC-BY-4.0"
    twins: Twins | None = None
    cell: Annotated[int, Meta(ge=1, le=LEAST_CELL)] = LEAST_CELL

    def verify(self) -> None:
        """Check it against itself.

        Raises ``seal_broken`` for a wrong root and for commitments to files that are not those of its version, and
        ``allocation_invalid`` for blocks that do not cover the set, seasons that are not exposed blocks, a quorum that
        its maintainers cannot reach, and a part that somebody is asked with fewer items than the smallest cell.
        """
        if (
            len(self.leaves) != self.n
            or root([bytes.fromhex(leaf) for leaf in self.leaves]).hex() != self.root
        ):
            raise error(Code.SEAL_BROKEN, f"the root of {self.name}")
        commits = (self.ciphertexts is not None, self.sealed_seed is not None)
        if commits != (self.version >= 3,) * 2:
            raise error(Code.SEAL_BROKEN, f"the commitment of {self.name} to its files")
        if not (self._covers() and self._seasons_fit() and self._signers_fit()):
            raise error(Code.ALLOCATION_INVALID, self.name)
        asked = (
            sum(block.n for block in part) for part in self.parts() if part[0].stratum != "spare"
        )
        smallest = min(asked, default=self.cell)
        if smallest < self.cell:
            raise error(
                Code.ALLOCATION_INVALID, f"a part of {smallest} items, of at least {self.cell}"
            )

    def to_dict(self) -> dict[str, Any]:
        """As for every message; without the fields that came later where they are the usual ones, as before there were
        such fields."""
        data = super().to_dict()
        usual = {"twins": None, "cell": LEAST_CELL, "ciphertexts": None, "sealed_seed": None}
        return {
            name: value for name, value in data.items() if name not in usual or value != usual[name]
        }

    def digest(self) -> Hex32:
        """The RFC 6962 leaf hash of its canonical JSON: what signatures and wraps name it by."""
        return leaf_hash(canonical_json(self.to_dict())).hex()

    def block_ids(self, strata: Collection[str]) -> tuple[BlockId, ...]:
        """The ids of the blocks of these strata, ascending."""
        return tuple(sorted(block.id for block in self.blocks if block.stratum in strata))

    def indices(self, blocks: Iterable[BlockId]) -> frozenset[int]:
        """The indices of the items in these blocks. Raises ``bad_message`` for a block that is none."""
        known = {block.id: block.indices() for block in self.blocks}
        wanted = tuple(blocks)
        if any(block not in known for block in wanted):
            raise error(Code.BAD_MESSAGE, "a block that the set does not have")
        return frozenset(index for block in wanted for index in known[block])

    def parts(self) -> tuple[tuple[Block, ...], ...]:
        """The blocks by who is asked them: a part for each season, one for the other exposed blocks, for the local and
        for the spare ones. Every form is made of whole parts, as far as they count."""
        seasons, parts = frozenset(self.seasons), dict[BlockId | Stratum, list[Block]]()
        for block in self.blocks:
            parts.setdefault(block.id if block.id in seasons else block.stratum, []).append(block)
        return tuple(map(tuple, parts.values()))

    def origin(self) -> str:
        """What the set's signed tree head names as its log."""
        return f"holdfast/set/{self.name}"

    def head(self) -> TreeHead:
        """The tree head of the set, which commits to the whole manifest as well."""
        return TreeHead(self.origin(), self.n, bytes.fromhex(self.root), (self.digest(),))

    def verify_note(self, note: str) -> dict[str, int]:
        """Check the set's signed tree head; returns which witnesses cosigned it, and when (seconds since 1970).

        Raises ``head_invalid`` unless it is this set's and one of its maintainers signed it.
        """
        opened = open_note(note)
        signed = {one.name for one in opened.signatures}
        signers = [party for party in self.maintainers if party.name in signed]
        if not signers or opened.head != self.head():
            raise error(Code.HEAD_INVALID, self.name)
        for party in signers:
            verify_head(note, name=party.name, public_hex=party.public, origin=self.origin())
        return cosigned_by(note, {party.name: party.public for party in self.witnesses})

    def _covers(self) -> bool:
        ends = [(block.start, block.start + block.n) for block in self.blocks]
        joined = all(one[1] == other[0] for one, other in pairwise(ends))
        ids = {block.id for block in self.blocks}
        return ends[0][0] == 0 and ends[-1][1] == self.n and joined and len(ids) == len(self.blocks)

    def _seasons_fit(self) -> bool:
        exposed = {block.id: block.n for block in self.blocks if block.stratum == "exposed"}
        fits = len(set(self.seasons)) == len(self.seasons) and set(self.seasons) <= set(exposed)
        return fits and self.cap == sum(exposed[block] for block in self.seasons)

    def _signers_fit(self) -> bool:
        keys = [party.public for party in (*self.maintainers, *self.witnesses)]
        names = [party.name for party in (*self.maintainers, *self.witnesses)]
        apart = len(set(keys)) == len(keys) and len(set(names)) == len(names)
        return apart and (1 if self.maintainers else 0) <= self.quorum <= len(self.maintainers)


class Identity(Wire, frozen=True, kw_only=True):
    """An evaluator's name and public keys (``identity.json``): X25519 to seal to it, Ed25519 to verify it."""

    name: Name
    host_pub: Hex32
    report_pub: Hex32
