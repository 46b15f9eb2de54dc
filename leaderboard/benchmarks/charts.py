"""Division of a sealed set, as data and as a strip of SVG.

Only presentation attributes and classes are used: the site's content policy allows no inline style.
What stands in the picture stands in a table beside it too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notices import Notice, retired, retired_blocks, waiting

WIDTH, HEIGHT = 1000, 28
KINDS: Mapping[str, tuple[str, str]] = {
    "exposed": ("Exposed", "weights that we run, and hosts under contract"),
    "season": ("Season", "the same, and every self-declared endpoint of that season"),
    "local": ("Local", "weights that we run without a network, nobody else"),
    "spare": ("Spare", "nobody before the release"),
}
"""Name of each kind of block, and the parties that may be shown its items."""


@dataclass(frozen=True)
class Part:
    """One block. ``season`` counts from 1, None outside the seasons; ``errata`` are indices of
    single items with a notice; ``waits`` of its items have one and still count."""

    id: int
    kind: str
    start: int
    n: int
    season: int | None = None
    gone: bool = False
    errata: tuple[int, ...] = ()
    waits: int = 0

    @property
    def name(self) -> str:
        """Name on pages."""
        title = KINDS[self.kind][0].lower()
        return (
            f"block {self.id}, {title} {self.season}"
            if self.season
            else f"block {self.id}, {title}"
        )


@dataclass(frozen=True)
class Stratum:
    """All blocks of one kind. ``gone`` of its ``n`` items no longer count, ``waits`` have a notice
    and still do."""

    kind: str
    title: str
    who: str
    blocks: int
    n: int
    gone: int
    waits: int


def parts(manifest: Manifest, notices: Sequence[Notice]) -> tuple[Part, ...]:
    """The blocks in order of their items."""
    gone = retired_blocks(manifest, notices)
    waits = waiting(manifest, notices)
    single = {notice.item for notice in notices if notice.item is not None}
    seasons = {block: number for number, block in enumerate(manifest.seasons, start=1)}
    return tuple(
        Part(
            id=block.id,
            kind="season" if block.id in seasons else block.stratum,
            start=block.start,
            n=block.n,
            season=seasons.get(block.id),
            gone=block.id in gone,
            errata=tuple(sorted(single & set(block.indices()))),
            waits=len(waits.intersection(block.indices())),
        )
        for block in manifest.blocks
    )


def strata(manifest: Manifest, notices: Sequence[Notice]) -> tuple[Stratum, ...]:
    """The kinds of blocks that the set has."""
    gone = retired(manifest, notices)
    blocks, items, lost, waits = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for part in parts(manifest, notices):
        blocks[part.kind] += 1
        items[part.kind] += part.n
        lost[part.kind] += sum(index in gone for index in range(part.start, part.start + part.n))
        waits[part.kind] += part.waits
    return tuple(
        Stratum(kind, title, who, blocks[kind], items[kind], lost[kind], waits[kind])
        for kind, (title, who) in KINDS.items()
        if blocks[kind]
    )


def strip(shown: Sequence[Part], *, season: int) -> SafeString:
    """The blocks side by side, as wide as they have items; retired ones are crossed out, errata are
    strokes.

    ``season`` is the season that is open, from 1.
    """
    total = sum(part.n for part in shown) or 1
    drawn = format_html_join(
        "", "{}", ((_block(part, total, open_now=part.season == season),) for part in shown)
    )
    counts = Counter(KINDS[part.kind][0].lower() for part in shown)
    gone, errata = sum(part.gone for part in shown), sum(len(part.errata) for part in shown)
    label = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return format_html(
        '<svg class="strip" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="Blocks: {}; {} retired, {} items with an erratum">{}</svg>',
        WIDTH,
        HEIGHT,
        label,
        gone,
        errata,
        drawn,
    )


def place(part: Part, total: int) -> tuple[float, float]:
    """Return the start and the width of a block in the strip."""
    gap = 4 if part.n / total > 0.02 else 0
    return round(part.start / total * WIDTH + gap / 2, 1), round(
        max(part.n / total * WIDTH - gap, 1.0), 1
    )


def _block(part: Part, total: int, *, open_now: bool) -> SafeString:
    x, width = place(part, total)
    classes = f"{part.kind}{' open' if open_now else ''}{' gone' if part.gone else ''}"
    state = "retired" if part.gone else "open now" if open_now else "in use"
    rect = format_html(
        '<rect class="{}" x="{}" y="1" width="{}" height="{}"><title>{}: {} items, {}</title></rect>',
        classes, x, width, HEIGHT - 2, part.name, part.n, state,
    )  # fmt: skip
    stroke = (
        '<line class="stroke" x1="{}" x2="{}" y1="{}" y2="{}" vector-effect="non-scaling-stroke"/>'
    )
    cross = ((x, x + width, 1, HEIGHT - 1), (x, x + width, HEIGHT - 1, 1)) if part.gone else ()
    marks = tuple(
        (at, at, 1, HEIGHT - 1) for at in (round((i + 0.5) / total * WIDTH, 1) for i in part.errata)
    )
    return rect + format_html_join("", stroke, (*cross, *marks))


@dataclass(frozen=True)
class Seen:
    """Exposure of a block: the share of its items, from 0 to 1, how many times its average
    item, and whether to somebody who may not see it."""

    share: float = 0.0
    times: float = 0.0
    wrong: bool = False


def heat(shown: Sequence[Part], seen: Mapping[int, Seen]) -> SafeString:
    """The same blocks, filled as high as the share of their items that was shown, and as dark as
    how often.

    ``seen`` is by block; one that is not in it was shown to nobody.
    """
    total = sum(part.n for part in shown) or 1
    most = max((one.times for one in seen.values()), default=0.0) or 1.0
    drawn = format_html_join(
        "", "{}", ((_heat(part, total, seen.get(part.id, Seen()), most),) for part in shown)
    )
    touched = sum(one.share > 0 for one in seen.values())
    return format_html(
        '<svg class="strip heat" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{} of {} blocks have been shown to somebody; the table below says to whom">{}</svg>',
        WIDTH,
        2 * HEIGHT,
        touched,
        len(shown),
        drawn,
    )


def _heat(part: Part, total: int, seen: Seen, most: float) -> SafeString:
    x, width = place(part, total)
    height = round(seen.share * (2 * HEIGHT - 2), 1)
    return format_html(
        '<rect class="cold" x="{x}" y="1" width="{width}" height="{whole}"/>'
        '<rect class="warmth{wrong}" x="{x}" y="{top}" width="{width}" height="{height}" fill-opacity="{dark}">'
        "<title>{name}: {share}% of {n} items shown, {times} times each</title></rect>",
        x=x, width=width, whole=2 * HEIGHT - 2, wrong=" wrong" if seen.wrong else "", name=part.name, n=part.n,
        top=round(2 * HEIGHT - 1 - height, 1), height=height, dark=round(0.25 + 0.75 * seen.times / most, 2),
        share=f"{100 * seen.share:.0f}", times=f"{seen.times:.1f}",
    )  # fmt: skip


def bar(share: float) -> SafeString:
    """A share of a whole as a small bar, to stand beside its number."""
    return format_html(
        '<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="cold" width="100" height="8"/><rect class="part" width="{}" height="8"/></svg>',
        round(100 * min(max(share, 0.0), 1.0), 1),
    )
