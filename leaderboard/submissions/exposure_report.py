"""The burn view: what of a sealed set has been shown, to whom, when and how often, block by block."""

import base64
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from evaluator import policy
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.rules import moment_of
from leaderboard.accounts.views import maintainers_only
from leaderboard.benchmarks import charts
from leaderboard.benchmarks.models import SetPair
from leaderboard.ledger.models import Entry

SHOWN_RECIPIENTS = 6


@dataclass(frozen=True)
class Shown:
    """One line of a log that shows items: ``items`` is its bitmap in base64, as it was signed."""

    moment: str
    recipient: str
    tier: str
    root: str
    items: str


@dataclass
class Tally:
    """How often something was shown: ``lines`` times, ``reveals`` items in all, ``seen`` a bit for each of them."""

    lines: int = 0
    reveals: int = 0
    seen: int = 0
    first: str = ""
    last: str = ""

    def add(self, items: int, moment: str) -> None:
        """Count one more line."""
        self.lines += 1
        self.reveals += items.bit_count()
        self.seen |= items
        self.first = min(self.first or moment, moment)
        self.last = max(self.last, moment)

    @property
    def items(self) -> int:
        """How many different items."""
        return self.seen.bit_count()


@dataclass
class BlockBurn:
    """One block: what was shown of it to each (recipient, tier)."""

    by: dict[tuple[str, str], Tally] = field(default_factory=dict)

    @property
    def total(self) -> Tally:
        """All of it together."""
        whole = Tally()
        for one in self.by.values():
            whole.lines += one.lines
            whole.reveals += one.reveals
            whole.seen |= one.seen
            whole.first, whole.last = (
                min(whole.first or one.first, one.first),
                max(whole.last, one.last),
            )
        return whole


@dataclass
class Burn:
    """What a set's lines say. ``declared`` is a bit for each item ever shown to T2; ``strange`` counts the lines that
    are about another set of this name or whose bitmap does not fit: they are counted for no block."""

    blocks: dict[int, BlockBurn]
    lines: int = 0
    declared: int = 0
    strange: int = 0


def burn_of(manifest: Manifest, lines: Iterable[Shown]) -> Burn:
    """Add up what the lines have shown, in one pass; a line's work grows with the blocks that it touches."""
    burn = Burn({block.id: BlockBurn() for block in manifest.blocks})
    ends = [block.start + block.n for block in manifest.blocks]
    for line in lines:
        burn.lines += 1
        items = _bits(line.items, manifest.n) if line.root == manifest.root else None
        if items is None:
            burn.strange += 1
            continue
        if line.tier == "T2":
            burn.declared |= items
        moment = line.moment.removesuffix("Z")
        for place, part in _split(manifest, ends, items):
            by = burn.blocks[manifest.blocks[place].id].by
            by.setdefault((line.recipient, line.tier), Tally()).add(part, moment)
    return burn


def _bits(bitmap: str, n: int) -> int | None:
    """The bitmap as a number whose bit i is item i; None where it does not fit a set of ``n``."""
    try:
        raw = base64.b64decode(bitmap, validate=True)
    except ValueError:
        return None
    items = int.from_bytes(raw, "little")
    return items if not raw or (len(raw) == (n + 7) // 8 and items >> n == 0) else None


def _split(manifest: Manifest, ends: Sequence[int], items: int) -> Iterator[tuple[int, int]]:
    """The places of the blocks that have a marked item, each with its own items as bits from 0."""
    while items:
        lowest = (items & -items).bit_length() - 1
        place = bisect_right(ends, lowest)
        block = manifest.blocks[place]
        yield place, items >> block.start & (1 << block.n) - 1
        items = items >> ends[place] << ends[place]


@maintainers_only
@require_safe
def burn(request: HttpRequest, slug: str) -> HttpResponse:
    """For maintainers: what is used up."""
    pair = get_object_or_404(SetPair.objects.select_related("private", "public"), slug=slug)
    manifest = pair.private.facts()
    context: dict[str, Any] = {"pair": pair, "manifest": manifest, "section": "sets"}
    if manifest:
        lines = Entry.objects.filter(kind="exposure", set_name=manifest.name)
        loose = lines.exclude(status=Entry.Status.CHAINED).count()
        context |= _page(pair, manifest, burn_of(manifest, _read(lines))) | {"loose": loose}
    return render(request, "submissions/burn.html", context)


def _read(lines: Any) -> Iterator[Shown]:
    """Every line that an evaluator signed, also one that its log does not hold: what was shown is shown."""
    columns = ("moment", "recipient", "tier", "line__root", "line__items")
    return (Shown(*row) for row in lines.values_list(*columns).iterator())


def _page(pair: SetPair, manifest: Manifest, found: Burn) -> dict[str, Any]:
    parts = charts.parts(manifest, pair.private.signed_notices())
    rows = [_row(manifest.name, part, found.blocks[part.id]) for part in parts]
    declared = found.declared.bit_count()
    return {
        "burn": found,
        "rows": rows,
        "heat": charts.heat(
            parts,
            {
                row["part"].id: charts.Seen(row["share"], row["times"], bool(row["wrong"]))
                for row in rows
            },
        ),
        "declared": declared,
        "declared_bar": charts.bar(declared / manifest.cap if manifest.cap else 0),
        "over": declared > manifest.cap,
        "season": pair.season + 1,
        "ledger": urlencode({"set": manifest.name, "kind": "exposure"}),
    }


def _row(name: str, part: charts.Part, block: BlockBurn) -> dict[str, Any]:
    total = block.total
    ordered = sorted(block.by.items(), key=lambda one: (-one[1].reveals, one[0]))
    people = [
        {
            "recipient": recipient,
            "tier": tier,
            "tally": tally,
            "query": urlencode(
                {"set": name, "kind": "exposure", "recipient": recipient, "tier": tier}
            ),
        }
        for (recipient, tier), tally in ordered[:SHOWN_RECIPIENTS]
    ]
    return {
        "part": part,
        "total": total,
        "share": total.items / part.n,
        "percent": 100 * total.items / part.n,
        "bar": charts.bar(total.items / part.n),
        "times": total.reveals / part.n,
        "people": people,
        "more": max(0, len(ordered) - SHOWN_RECIPIENTS),
        "wrong": sorted({tier for _, tier in block.by} - policy.tiers_shown(part.kind)),
        "first": _moment(total.first),
        "last": _moment(total.last),
    }


def _moment(text: str) -> datetime | None:
    return moment_of(text + "Z") if text else None
