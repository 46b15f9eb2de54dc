"""Allocation of items to blocks by a committed seed; every block is an even sample. Pure.

The allocation depends on the items' content, the seed and a few numbers, not on the order in which
the items were written. After the release it can be repeated by anyone.
"""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise, product

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from evaluator.contract import MIN_CELL_SIZE, Hex32, canonical_json
from evaluator.errors import Code, error
from evaluator.items import Item, item_record
from evaluator.ledger.manifests import Block, Stratum

SEED_BYTES = 32
SALT_BYTES = 32
_SEED_DOMAIN = b"holdfast/seed/v1\n"


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of a set's parts, each at least 0 and below 1.

    ``spare`` is a share of all items, ``local`` of the rest. What is left is cut into ``blocks``
    exposed blocks, or as many as there are items. ``seasons`` of them are for self-declared
    endpoints; None for 2 of at least eight blocks, 1 of at least four, none of fewer. Listed
    endpoints are asked the exposed blocks in ``stages``; None for 3, or 2 where 3 would be too
    small, or all at once. ``cell`` is the minimum cell size of the set (``Manifest.cell``).
    """

    local: Fraction = Fraction(1, 5)
    spare: Fraction = Fraction(1, 10)
    blocks: int = 8
    seasons: int | None = None
    stages: int | None = None
    cell: int = MIN_CELL_SIZE

    def options(self) -> str:
        """Return the options of ``seal`` that ask for these shares."""
        strata = f"--local {self.local} --spare {self.spare}"
        text = f"{strata} --blocks {self.blocks} --seasons {self.seasons}"
        if self.cell != MIN_CELL_SIZE:
            text += f" --smallest-cell {self.cell}"
        return text


def plan_blocks(n: int, shares: Shares) -> tuple[Block, ...]:
    """Return the blocks of a set of ``n`` items: exposed, local, spare; empty ones are left out.

    Counts are rounded down; the first exposed blocks are larger by one where they cannot be equal.
    Raises ``allocation_invalid`` for shares out of range.
    """
    in_range = 0 <= shares.local < 1 and 0 <= shares.spare < 1
    if not in_range or shares.blocks < 1 or n < 1:
        raise error(
            Code.ALLOCATION_INVALID,
            "shares are at least 0 and below 1, and there is at least one block",
        )
    spare = int(n * shares.spare)
    local = int((n - spare) * shares.local)
    exposed = n - spare - local
    exposed_blocks = min(shares.blocks, exposed)
    size, remainder = divmod(exposed, exposed_blocks)
    sizes: list[tuple[Stratum, int]] = []
    sizes += [("exposed", size + 1)] * remainder
    sizes += [("exposed", size)] * (exposed_blocks - remainder)
    sizes += [("local", local), ("spare", spare)]
    blocks: list[Block] = []
    start = 0
    for stratum, count in sizes:
        if count:
            block = Block(
                id=len(blocks),
                stratum=stratum,
                start=start,
                n=count,
            )
            blocks.append(block)
            start += count
    return tuple(blocks)


def plan_seasons(blocks: Sequence[Block], shares: Shares) -> tuple[int, ...]:
    """Return the last exposed blocks, which serve self-declared endpoints.

    Raises ``allocation_invalid`` for more seasons than exposed blocks.
    """
    exposed = [block.id for block in blocks if block.stratum == "exposed"]
    seasons = shares.seasons
    if seasons is None and len(exposed) >= 8:
        seasons = 2
    elif seasons is None:
        seasons = 1 if len(exposed) >= 4 else 0
    if not 0 <= seasons <= len(exposed):
        raise error(Code.ALLOCATION_INVALID, f"{seasons} seasons of {len(exposed)} exposed blocks")
    return tuple(exposed[len(exposed) - seasons :])


def plan_stages(
    blocks: Sequence[Block],
    seasons: Sequence[int],
    shares: Shares,
) -> tuple[tuple[int, ...], ...]:
    """Return the exposed blocks in stages of about as many blocks, those of the seasons first.

    Self-declared endpoints are shown the blocks of seasons, so the first run after they are listed
    has such blocks next to others. Empty where all blocks are asked at once. Raises
    ``allocation_invalid`` for a number of stages that leaves a part below ``shares.cell``.
    """
    exposed = [block.id for block in blocks if block.stratum == "exposed"]
    others = [block for block in exposed if block not in seasons]
    order = [*seasons, *others]
    wanted = _DEFAULT_STAGES if shares.stages is None else (shares.stages,)
    for count in wanted:
        if count == 1:
            return ()
        if not 1 < count <= len(order):
            continue
        ends = [len(order) * number // count for number in range(count + 1)]
        stages: list[tuple[int, ...]] = []
        for start, end in pairwise(ends):
            stage = order[start:end]
            stages.append(tuple(stage))
        if _smallest_part(blocks, seasons, stages) >= shares.cell:
            return tuple(stages)
    problem = f"{shares.stages} stages of {len(order)} exposed blocks"
    least = f"each part of at least {shares.cell} items"
    raise error(Code.ALLOCATION_INVALID, f"{problem}, {least}")


_DEFAULT_STAGES = (3, 2, 1)


def plan(
    n: int,
    shares: Shares,
) -> tuple[tuple[Block, ...], tuple[int, ...]]:
    """Return blocks and seasons of a set of ``n`` items.

    Each part but the spare one has at least ``shares.cell`` items. Raises ``allocation_invalid``
    with allocations that fit, as options of the seal command.
    """
    blocks = plan_blocks(n, shares)
    exposed = sum(block.stratum == "exposed" for block in blocks)
    if shares.seasons is not None and not 0 <= shares.seasons <= exposed:
        problem = f"{shares.seasons} seasons of {exposed} exposed blocks"
        raise error(Code.ALLOCATION_INVALID, f"{problem}; {_advice(n, shares)}")
    seasons = plan_seasons(blocks, shares)
    smallest = _smallest_part(blocks, seasons)
    if smallest < shares.cell:
        problem = f"of {n:,} items a part of {smallest}, of at least {shares.cell}"
        raise error(Code.ALLOCATION_INVALID, f"{problem}; {_advice(n, shares)}")
    return blocks, seasons


def fits(n: int, shares: Shares) -> bool:
    """Return True if :func:`plan` accepts these shares."""
    blocks = plan_blocks(n, shares)
    exposed = sum(block.stratum == "exposed" for block in blocks)
    if shares.seasons is not None and shares.seasons > exposed:
        return False
    seasons = plan_seasons(blocks, shares)
    smallest = _smallest_part(blocks, seasons)
    return smallest >= shares.cell


def proposals(n: int, cell: int) -> tuple[Shares, ...]:
    """Return a few allocations of ``n`` items that fit.

    Those with a local part and more seasons come first.
    """
    proposed: list[Shares] = []
    for locals_, seasons in _GOALS:
        for shares in _candidates(locals_, seasons, cell):
            if fits(n, shares):
                proposed.append(shares)
                break
    return tuple(proposed[:_MOST_PROPOSALS])


def _candidates(
    locals_: Sequence[Fraction],
    seasons: int,
    cell: int,
) -> Iterator[Shares]:
    for spare, local in product(_SPARES, locals_):
        for blocks in range(_MOST_BLOCKS, seasons, -1):
            yield Shares(
                local=local,
                spare=spare,
                blocks=blocks,
                seasons=seasons,
                cell=cell,
            )


_SPARES = (
    Fraction(1, 10),
    Fraction(1, 20),
    Fraction(0),
)
_LOCALS = (
    Fraction(1, 5),
    Fraction(1, 4),
    Fraction(3, 10),
    Fraction(1, 3),
    Fraction(2, 5),
    Fraction(1, 2),
)
_NO_LOCAL = (Fraction(0),)
_GOALS = (
    (_LOCALS, 2),
    (_LOCALS, 1),
    (_NO_LOCAL, 2),
    (_NO_LOCAL, 1),
    (_LOCALS, 0),
    (_NO_LOCAL, 0),
)
_MOST_BLOCKS = 8
_MOST_PROPOSALS = 3
_LARGEST = 1_000_000


def _smallest_part(
    blocks: Sequence[Block],
    seasons: Sequence[int],
    stages: Sequence[Sequence[int]] = (),
) -> int:
    """Return the size of the smallest part that is asked, as ``Manifest.parts`` has them."""
    part_of: dict[int, str] = {}
    for number, stage in enumerate(stages):
        part_of |= dict.fromkeys(stage, f"stage {number}")
    for block_id in seasons:
        part_of[block_id] = f"season {block_id}"
    parts: dict[str, int] = {}
    for block in blocks:
        if block.stratum == "spare":
            continue
        part = part_of.get(block.id, block.stratum)
        size = parts.get(part, 0)
        parts[part] = size + block.n
    return min(parts.values())


def _advice(n: int, shares: Shares) -> str:
    proposed = proposals(n, shares.cell)
    largest_tried = min(_LARGEST, max(100 * n, 20_000))
    larger = range(n + 1, largest_tried)
    smallest = next((size for size in larger if fits(size, shares)), None)
    needed = "as asked no size fits"
    if smallest:
        needed = f"as asked it takes {smallest:,} items"
    if not proposed:
        return f"no allocation fits: a set has at least {shares.cell} items; {needed}"
    listed = ", ".join(f"'{fitting.options()}'" for fitting in proposed)
    return f"these fit: {listed}; {needed}"


def deal(items: Sequence[Item], seed: bytes, blocks: Sequence[Block]) -> list[int]:
    """Return the order of the items in the sealed set: element k is the position of its item k.

    - Items are sorted by (steps, digits of the answer, keyed hash).
    - They are dealt along a pattern in which place k of a block of s items is at (2k+1)/2s, so
      every block has its even share of every kind of item.
    - Inside a block they are ordered by their keyed hash.
    """
    keys = [item_key(seed, item) for item in items]
    sort_keys: list[tuple[int, int, bytes]] = []
    for item, key in zip(items, keys, strict=True):
        steps, digits = cell(item)
        sort_keys.append((steps, digits, key))
    ranked = sorted(range(len(items)), key=sort_keys.__getitem__)
    pattern: list[tuple[Fraction, int]] = []
    for block in blocks:
        for k in range(block.n):
            numerator = 2 * k + 1
            place = Fraction(numerator, 2 * block.n)
            pattern.append((place, block.id))
    pattern.sort()
    dealt: dict[int, list[int]] = {block.id: [] for block in blocks}
    for position, (_, block_id) in zip(ranked, pattern, strict=True):
        dealt[block_id].append(position)
    order: list[int] = []
    for block in blocks:
        order += sorted(dealt[block.id], key=keys.__getitem__)
    return order


def item_key(seed: bytes, item: Item) -> bytes:
    """Return the HMAC-SHA256 of the item's canonical JSON under the seed.

    It orders items of one kind; an author who does not know the seed cannot choose it.
    """
    return hmac.digest(seed, canonical_json(item_record(item)), "sha256")


def cell(item: Item) -> tuple[int, int]:
    """Return the class of an item, so that every block has its share of hard items.

    For a number: its steps (calculator tags), and digits of the integer part. For other kinds: the
    line ends of its answer, a solution or a derivation.
    """
    if item.kind != "number":
        return item.answer.count("\n"), 1
    before_point, _, _ = item.gold.lstrip("-").partition(".")
    whole = before_point.lstrip("0")
    return item.answer.count("<<"), max(1, len(whole))


def salt(seed: bytes, set_name: str, index: int) -> bytes:
    """Return an item's salt: HKDF-Expand (RFC 5869) of the seed, bound to the set and the index."""
    about = {
        "domain": "holdfast/salt/v1",
        "set": set_name,
        "index": index,
    }
    info = canonical_json(about)
    return HKDFExpand(SHA256(), SALT_BYTES, info).derive(seed)


def seed_hash(seed: bytes) -> Hex32:
    """Return the hash by which the manifest commits to the seed."""
    return hashlib.sha256(_SEED_DOMAIN + seed).hexdigest()
