"""Manifest of a sealed set and identity of an evaluator: the facts that the site registers."""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from evaluator.contract import (
    MIN_CELL_SIZE,
    BlockId,
    Count,
    Hex32,
    ItemKind,
    Moment,
    Name,
    Wire,
    canonical_json,
)
from evaluator.errors import Code, error
from evaluator.ledger.notes import TreeHead, cosigned_by, open_note, verify_head
from evaluator.ledger.rules import Rule
from evaluator.ledger.tree import leaf_hash, root

Stratum = Literal["exposed", "local", "spare"]
"""Part of a set by its recipients (see ``evaluator.policy``).

Exposed blocks may go to endpoints, by tier; local ones only to weights we run; spare ones to no
recipient before the release.
"""
SIZE = Annotated[int, Meta(ge=1, le=1_000_000)]
_Stage = tuple[BlockId, ...]


class ShotFacts(Wire, frozen=True, kw_only=True):
    """Public pool of shots of a set: number, and digest of their list (``items.set_digest``)."""

    n: SIZE
    digest: Hex32


class Block(Wire, frozen=True, kw_only=True):
    """Block of ``n`` indices from ``start``; a committed seed assigns items to indices."""

    id: BlockId
    stratum: Stratum
    start: Count
    n: SIZE

    def indices(self) -> range:
        """Return the indices of its items."""
        return range(self.start, self.start + self.n)


class Party(Wire, frozen=True, kw_only=True):
    """Signer: a name and an Ed25519 public key."""

    name: Name
    public: Hex32


class Terms(Wire, frozen=True, kw_only=True):
    """Protocol and grader of the set, with the digests under which they were published."""

    protocol: Name
    protocol_digest: Hex32
    grader: Name
    grader_digest: Hex32


class Twins(Wire, frozen=True, kw_only=True):
    """Statement that the set and a public one, of this digest, are exchangeable by construction.

    ``by`` is the construction: one generator with other seeds, or one set split at random.
    """

    public: Hex32
    by: Literal["generator", "split"]


class Manifest(Wire, frozen=True, kw_only=True):
    """Public facts of a sealed set, committed to before its first run.

    - ``leaves``: salted RFC 6962 leaf hashes; ``root``: the root of their tree.
    - ``seed_hash``: commits to the seed that dealt the items into ``blocks``, which cover 0 … n-1
      in order; ``key_check``: commits to the key that encrypts the items.
    - ``seasons``: the exposed blocks for self-declared endpoints, one after the other; ``cap``: the
      number of their items, and so of all items that such endpoints ever see together.
    - ``stages``: the exposed blocks in the groups that listed endpoints are asked one after the
      other, each run those of the runs before as well; none where all are asked at once.
    - ``quorum`` of the ``maintainers`` release the set once ``rule`` is met; ``witnesses`` may
      cosign its tree head; ``licence``: SPDX identifier under which it is released.
    - ``twins``: set if a public set is equally hard by construction, not by judgement.
    - ``cell``: the fewest items that a published number may be over, or that two published numbers
      may differ by.
    - ``ciphertexts``, ``sealed_seed`` (from version 3 on): the RFC 6962 root over the lines of
      the ciphertexts, and the leaf hash of the line of the sealed seed. They commit to the files,
      so that the whole folder can be checked without a key.
    - ``kind`` (from version 4 on): the kind of the items. Those of older sets are numbers.
    """

    version: Literal[2, 3, 4] = 2
    name: Name
    kind: ItemKind | None = None
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
    stages: Annotated[tuple[_Stage, ...], Meta(max_length=100)] = ()
    terms: Terms | None = None
    rule: Rule | None = None
    maintainers: Annotated[tuple[Party, ...], Meta(max_length=20)] = ()
    quorum: Annotated[int, Meta(ge=0, le=20)] = 0
    witnesses: Annotated[tuple[Party, ...], Meta(max_length=20)] = ()
    licence: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9.+-]{1,60}\Z")] = "CC-BY-4.0"
    twins: Twins | None = None
    cell: Annotated[int, Meta(ge=1, le=MIN_CELL_SIZE)] = MIN_CELL_SIZE

    def verify(self) -> None:
        """Check the manifest against itself.

        Raises ``seal_broken`` for a wrong root, and for commitments to files or a kind other than
        those of its version. Raises ``allocation_invalid`` for blocks that do not cover the set,
        seasons that are not exposed blocks, stages that are not all exposed blocks once, a quorum
        that its maintainers cannot reach, and a part other than the spare one with fewer items
        than the minimum cell size.
        """
        self._verify_commitments()
        blocks_fit = self._blocks_cover_set() and self._seasons_and_stages_fit()
        if not (blocks_fit and self._signers_fit()):
            raise error(Code.ALLOCATION_INVALID, self.name)
        asked: list[int] = []
        for part in self.parts():
            if part[0].stratum != "spare":
                size = sum(block.n for block in part)
                asked.append(size)
        smallest = min(asked, default=self.cell)
        if smallest < self.cell:
            sizes = f"a part of {smallest} items, of at least {self.cell}"
            raise error(Code.ALLOCATION_INVALID, sizes)

    def _verify_commitments(self) -> None:
        leaves = [bytes.fromhex(leaf) for leaf in self.leaves]
        if len(leaves) != self.n or root(leaves).hex() != self.root:
            raise error(Code.SEAL_BROKEN, f"the root of {self.name}")
        commits_to_files = self.version >= 3
        for commitment in (self.ciphertexts, self.sealed_seed):
            is_committed = commitment is not None
            if is_committed != commits_to_files:
                raise error(Code.SEAL_BROKEN, f"the commitment of {self.name} to its files")
        has_kind = self.kind is not None
        states_kind = self.version >= 4
        if has_kind != states_kind:
            raise error(Code.SEAL_BROKEN, f"the commitment of {self.name} to its kind")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data, without later fields that have their default value.

        So the bytes of older manifests, and their digests, stay the same.
        """
        data = super().to_dict()
        defaults = {
            "kind": None,
            "twins": None,
            "cell": MIN_CELL_SIZE,
            "ciphertexts": None,
            "sealed_seed": None,
        }
        for name, default in defaults.items():
            if data[name] == default:
                del data[name]
        if not self.stages:
            del data["stages"]
        return data

    def digest(self) -> Hex32:
        """Return the RFC 6962 leaf hash of its canonical JSON, its name in signatures and wraps."""
        return leaf_hash(canonical_json(self.to_dict())).hex()

    def item_kind(self) -> ItemKind:
        """Return the kind of the items, also of a set that was sealed before sets had kinds."""
        return self.kind or "number"

    def block_ids(self, strata: Collection[str]) -> tuple[BlockId, ...]:
        """Return the ids of the blocks of these strata, ascending."""
        ids = [block.id for block in self.blocks if block.stratum in strata]
        return tuple(sorted(ids))

    def indices(self, blocks: Iterable[BlockId]) -> frozenset[int]:
        """Return the indices of the blocks' items. Raises ``bad_message`` for an unknown block."""
        known = {block.id: block.indices() for block in self.blocks}
        indices: set[int] = set()
        for block in blocks:
            if block not in known:
                raise error(Code.BAD_MESSAGE, "a block that the set does not have")
            indices.update(known[block])
        return frozenset(indices)

    def parts(self) -> tuple[tuple[Block, ...], ...]:
        """Return the blocks, grouped by their recipients.

        One part for each season, one for the other blocks of each stage (or for all other exposed
        blocks), one for the local and one for the spare blocks. Every item selection consists of
        whole parts, less retired items.
        """
        part_of: dict[BlockId, str] = {}
        for number, stage in enumerate(self.stages):
            part_of |= dict.fromkeys(stage, f"stage {number}")
        for number, block_id in enumerate(self.seasons):
            part_of[block_id] = f"season {number}"
        parts: dict[str, list[Block]] = {}
        for block in self.blocks:
            part = part_of.get(block.id, block.stratum)
            parts.setdefault(part, []).append(block)
        return tuple(tuple(blocks) for blocks in parts.values())

    def origin(self) -> str:
        """Return the origin line of the set's signed tree head."""
        return f"holdfast/set/{self.name}"

    def head(self) -> TreeHead:
        """Return the tree head of the set, which commits to the whole manifest as well."""
        return TreeHead(
            origin=self.origin(),
            size=self.n,
            root=bytes.fromhex(self.root),
            extensions=(self.digest(),),
        )

    def verify_note(self, note: str) -> dict[str, int]:
        """Check the set's signed tree head; return its witnesses' moments, in seconds since 1970.

        Raises ``head_invalid`` unless it is this set's and one of its maintainers signed it.
        """
        opened = open_note(note)
        names = {signature.name for signature in opened.signatures}
        signers = [party for party in self.maintainers if party.name in names]
        if not signers or opened.head != self.head():
            raise error(Code.HEAD_INVALID, self.name)
        for party in signers:
            verify_head(
                note,
                name=party.name,
                public_hex=party.public,
                origin=self.origin(),
            )
        witnesses = {party.name: party.public for party in self.witnesses}
        return cosigned_by(note, witnesses)

    def _blocks_cover_set(self) -> bool:
        end = 0
        for block in self.blocks:
            if block.start != end:
                return False
            end += block.n
        ids = [block.id for block in self.blocks]
        return end == self.n and _are_distinct(ids)

    def _seasons_and_stages_fit(self) -> bool:
        exposed = set(self.block_ids(("exposed",)))
        if not _are_distinct(self.seasons) or not exposed.issuperset(self.seasons):
            return False
        in_seasons = [block.n for block in self.blocks if block.id in self.seasons]
        if self.cap != sum(in_seasons):
            return False
        if not self.stages:
            return True
        staged: list[BlockId] = []
        for stage in self.stages:
            staged += stage
        each_once = _are_distinct(staged) and set(staged) == exposed
        return each_once and all(self.stages)

    def _signers_fit(self) -> bool:
        parties = (*self.maintainers, *self.witnesses)
        keys = [party.public for party in parties]
        names = [party.name for party in parties]
        if not _are_distinct(keys) or not _are_distinct(names):
            return False
        most = len(self.maintainers)
        least = min(1, most)
        return least <= self.quorum <= most


class Identity(Wire, frozen=True, kw_only=True):
    """Name and public keys of an evaluator: X25519 for sealing to it, Ed25519 for verifying it."""

    name: Name
    host_pub: Hex32
    report_pub: Hex32


def _are_distinct(values: Sequence[object]) -> bool:
    return len(set(values)) == len(values)
