"""Which item comes to lie where: dealt into blocks by a committed seed, every block an even sample. Pure.

Everything follows from the items' content, the seed and a few numbers, in whatever order the items were written
down; after the release everybody can deal again.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from evaluator.contract import LEAST_CELL, Hex32, canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item, item_record
from evaluator.ledger.manifests import Block, Stratum

SEED_BYTES, SALT_BYTES = 32, 32
_SEED_DOMAIN = b"holdfast/seed/v1\n"


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How a set is divided. ``spare`` is a share of all items, ``local`` of what is left, both at least 0 and below 1.

    The rest is cut into ``blocks`` exposed blocks, or as many as there are items; ``seasons`` of them are for
    self-declared endpoints, None for 2 of at least eight, 1 of at least four and none of fewer. ``cell`` is the fewest
    items that a published number may be over (``Manifest.cell``).
    """

    local: Fraction = Fraction(1, 5)
    spare: Fraction = Fraction(1, 10)
    blocks: int = 8
    seasons: int | None = None
    cell: int = LEAST_CELL


def plan_blocks(n: int, shares: Shares) -> tuple[Block, ...]:
    """The blocks of a set of ``n`` items: exposed ones, then a local and a spare one where they have any.

    Counts are rounded down, and the first exposed blocks are larger by one where they do not come out even. Raises
    ``allocation_invalid`` for shares out of range.
    """
    if not (0 <= shares.local < 1 and 0 <= shares.spare < 1 and shares.blocks >= 1 and n >= 1):
        raise error(
            Code.ALLOCATION_INVALID,
            "shares are at least 0 and below 1, and there is at least one block",
        )
    spare = int(n * shares.spare)
    local = int((n - spare) * shares.local)
    exposed = n - spare - local
    many = min(shares.blocks, exposed)
    sizes: list[tuple[Stratum, int]] = [
        ("exposed", exposed // many + (k < exposed % many)) for k in range(many)
    ]
    sizes += [("local", local)] if local else []
    sizes += [("spare", spare)] if spare else []
    blocks, start = [], 0
    for number, (stratum, size) in enumerate(sizes):
        blocks.append(Block(id=number, stratum=stratum, start=start, n=size))
        start += size
    return tuple(blocks)


def plan_seasons(blocks: Sequence[Block], shares: Shares) -> tuple[int, ...]:
    """The exposed blocks for self-declared endpoints, the last ones. Raises ``allocation_invalid`` for too many."""
    exposed = [block.id for block in blocks if block.stratum == "exposed"]
    usual = 2 if len(exposed) >= 8 else 1 if len(exposed) >= 4 else 0
    wanted = usual if shares.seasons is None else shares.seasons
    if not 0 <= wanted <= len(exposed):
        raise error(Code.ALLOCATION_INVALID, f"{wanted} seasons of {len(exposed)} exposed blocks")
    return tuple(exposed[len(exposed) - wanted :])


def plan(n: int, shares: Shares) -> tuple[tuple[Block, ...], tuple[int, ...]]:
    """Blocks and seasons of a set of ``n`` items, each part that anybody is asked of at least ``shares.cell`` items.

    Raises ``allocation_invalid`` with allocations that fit, as options of the seal command.
    """
    blocks = plan_blocks(n, shares)
    exposed = sum(block.stratum == "exposed" for block in blocks)
    if shares.seasons is not None and not 0 <= shares.seasons <= exposed:
        raise error(
            Code.ALLOCATION_INVALID,
            f"{shares.seasons} seasons of {exposed} exposed blocks; {_advice(n, shares)}",
        )
    seasons = plan_seasons(blocks, shares)
    smallest = _smallest_part(blocks, seasons)
    if smallest < shares.cell:
        found = f"of {n:,} items a part of {smallest}, of at least {shares.cell}"
        raise error(Code.ALLOCATION_INVALID, f"{found}; {_advice(n, shares)}")
    return blocks, seasons


def fits(n: int, shares: Shares) -> bool:
    """Return true where :func:`plan` refuses nothing."""
    blocks = plan_blocks(n, shares)
    exposed = sum(block.stratum == "exposed" for block in blocks)
    if shares.seasons is not None and shares.seasons > exposed:
        return False
    return _smallest_part(blocks, plan_seasons(blocks, shares)) >= shares.cell


def proposals(n: int, cell: int) -> tuple[Shares, ...]:
    """Allocations of a set of ``n`` items that fit, those first that keep a local part and most seasons."""
    found = []
    for with_local, seasons in _GOALS:
        candidates = (
            Shares(local=local, spare=spare, blocks=blocks, seasons=seasons, cell=cell)
            for spare in _SPARES
            for local in (_LOCALS if with_local else (Fraction(0),))
            for blocks in range(_MOST_BLOCKS, seasons, -1)
        )
        found += [next((shares for shares in candidates if fits(n, shares)), None)]
    return tuple(shares for shares in found if shares is not None)[:_MOST_PROPOSALS]


_GOALS = ((True, 2), (True, 1), (False, 2), (False, 1), (True, 0), (False, 0))
_SPARES = (Fraction(1, 10), Fraction(1, 20), Fraction(0))
_LOCALS = (
    Fraction(1, 5),
    Fraction(1, 4),
    Fraction(3, 10),
    Fraction(1, 3),
    Fraction(2, 5),
    Fraction(1, 2),
)
_MOST_BLOCKS = 8
_MOST_PROPOSALS = 3
_LARGEST = 1_000_000


def _smallest_part(blocks: Sequence[Block], seasons: Sequence[int]) -> int:
    """The items of the smallest part that is asked: a season's block, the other exposed ones, the local ones."""
    parts: dict[int | str, int] = {}
    for block in blocks:
        if block.stratum != "spare":
            part = block.id if block.id in seasons else block.stratum
            parts[part] = parts.get(part, 0) + block.n
    return min(parts.values())


def _advice(n: int, shares: Shares) -> str:
    proposed = proposals(n, shares.cell)
    smallest = next((size for size in _sizes(n) if fits(size, shares)), None)
    needed = f"as asked it takes {smallest:,} items" if smallest else "as asked no size fits"
    if not proposed:
        return f"no allocation fits: a set has at least {shares.cell} items; {needed}"
    return f"these fit: {', '.join(_options(one) for one in proposed)}; {needed}"


def _sizes(n: int) -> range:
    return range(n + 1, min(_LARGEST, max(100 * n, 20_000)))


def _options(shares: Shares) -> str:
    cell = f" --smallest-cell {shares.cell}" if shares.cell != LEAST_CELL else ""
    strata = f"--local {shares.local} --spare {shares.spare}"
    return f"'{strata} --blocks {shares.blocks} --seasons {shares.seasons}{cell}'"


def deal(items: Sequence[Item], seed: bytes, blocks: Sequence[Block]) -> list[int]:
    """The order in which the items lie in the sealed set: element k is the position of item k of the set.

    Items are sorted by (steps, digits of the answer, keyed hash) and dealt along a pattern in which the k-th place of
    a block of s items stands at (2k+1)/2s; so every block has its even share of every kind of item. Inside a block
    they stand by their keyed hash.
    """
    keys = [item_key(seed, item) for item in items]
    ranked = sorted(range(len(items)), key=lambda place: (*cell(items[place]), keys[place]))
    pattern = sorted(
        (Fraction(2 * k + 1, 2 * block.n), block.id) for block in blocks for k in range(block.n)
    )
    dealt: dict[int, list[int]] = {block.id: [] for block in blocks}
    for place, (_, block) in zip(ranked, pattern, strict=True):
        dealt[block].append(place)
    return [
        place
        for block in blocks
        for place in sorted(dealt[block.id], key=lambda place: keys[place])
    ]


def item_key(seed: bytes, item: Item) -> bytes:
    """HMAC-SHA256 of the item's canonical JSON under the seed: its place among its like, which nobody could choose."""
    return hmac.digest(seed, canonical_json(item_record(item)), "sha256")


def cell(item: Item) -> tuple[int, int]:
    """What kind of item it is: steps (calculator tags in the answer) and digits of the answer's integer part."""
    whole = item.gold.lstrip("-").partition(".")[0].lstrip("0")
    return item.answer.count("<<"), max(1, len(whole))


def salt(seed: bytes, set_name: str, index: int) -> bytes:
    """An item's salt: HKDF-Expand (RFC 5869) of the seed, bound to the set and the index."""
    info = canonical_json({"domain": "holdfast/salt/v1", "set": set_name, "index": index})
    return HKDFExpand(SHA256(), SALT_BYTES, info).derive(seed)


def seed_hash(seed: bytes) -> Hex32:
    """What the manifest says of the seed before anybody may know it."""
    return hashlib.sha256(_SEED_DOMAIN + seed).hexdigest()
