"""Exposure report: the items of a sealed set that were revealed, by recipient and time. Pure."""

import base64
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from evaluator.ledger.manifests import Manifest


@dataclass(frozen=True)
class Reveal:
    """One entry of a log that shows items: ``items`` is its bitmap in base64, as it was signed."""

    moment: str
    recipient: str
    tier: str
    root: str
    items: str


@dataclass
class Exposure:
    """Reveals added up: ``entries`` of the log, ``reveals`` of items in all.

    ``seen`` has a bit for each item; ``first`` and ``last`` are moments, empty without an entry.
    """

    entries: int = 0
    reveals: int = 0
    seen: int = 0
    first: str = ""
    last: str = ""

    def add(self, items: int, moment: str) -> None:
        """Count one more entry."""
        self.entries += 1
        self.reveals += items.bit_count()
        self.seen |= items
        self.first = min(self.first or moment, moment)
        self.last = max(self.last, moment)

    @property
    def items(self) -> int:
        """Number of different items."""
        return self.seen.bit_count()


@dataclass
class BlockExposure:
    """Exposure of one block, by recipient and tier."""

    by: dict[tuple[str, str], Exposure] = field(default_factory=dict)

    @property
    def total(self) -> Exposure:
        """Exposure of the block to all recipients together."""
        total = Exposure()
        for exposure in self.by.values():
            total.entries += exposure.entries
            total.reveals += exposure.reveals
            total.seen |= exposure.seen
            total.first = min(total.first or exposure.first, exposure.first)
            total.last = max(total.last, exposure.last)
        return total


@dataclass
class ExposureReport:
    """Exposure of a set, block by block.

    ``declared`` has a bit for each item that was ever shown to T2. ``unreadable`` counts the
    entries that are about another set of this name, or whose bitmap does not fit: they are counted
    for no block.
    """

    blocks: dict[int, BlockExposure]
    entries: int = 0
    declared: int = 0
    unreadable: int = 0


def report_exposure(manifest: Manifest, reveals: Iterable[Reveal]) -> ExposureReport:
    """Add up the reveals in one pass. The work for one grows with the blocks that it touches."""
    report = ExposureReport({block.id: BlockExposure() for block in manifest.blocks})
    ends = [block.start + block.n for block in manifest.blocks]
    for reveal in reveals:
        report.entries += 1
        items = None
        if reveal.root == manifest.root:
            items = _bits(reveal.items, manifest.n)
        if items is None:
            report.unreadable += 1
            continue
        if reveal.tier == "T2":
            report.declared |= items
        moment = reveal.moment.removesuffix("Z")
        party = (reveal.recipient, reveal.tier)
        while items:
            # The block of the lowest item that is left, with its own items as bits from 0.
            lowest = (items & -items).bit_length() - 1
            place = bisect_right(ends, lowest)
            block = manifest.blocks[place]
            whole_block = (1 << block.n) - 1
            part = (items >> block.start) & whole_block
            exposure = report.blocks[block.id].by.setdefault(party, Exposure())
            exposure.add(part, moment)
            end = ends[place]
            items = (items >> end) << end
    return report


def _bits(bitmap: str, n: int) -> int | None:
    """Return the bitmap as a number whose bit i is item i; None where it does not fit ``n``."""
    try:
        raw = base64.b64decode(bitmap, validate=True)
    except ValueError:
        return None
    items = int.from_bytes(raw, "little")
    bytes_of_n = (n + 7) // 8
    fits = len(raw) == bytes_of_n and items >> n == 0
    return items if fits or not raw else None
