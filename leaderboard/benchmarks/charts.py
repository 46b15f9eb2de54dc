"""Division of a sealed set into blocks, as data and as a strip of SVG.

Only presentation attributes and classes are used: the site's content policy allows no inline style.
The page repeats each picture as a table.
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
    "local": ("Local", "only weights that we run without a network"),
    "spare": ("Spare", "no model before the release"),
}
"""Name of each kind of block, and the parties that may be shown its items."""


@dataclass(frozen=True)
class Part:
    """One block.

    ``season`` counts from 1, None outside the seasons; so does ``stage``. ``gone`` is True for a
    retired block. ``errata`` are the indices of single items with a notice; ``waits`` of them still
    count.
    """

    id: int
    kind: str
    start: int
    n: int
    season: int | None = None
    stage: int | None = None
    gone: bool = False
    errata: tuple[int, ...] = ()
    waits: int = 0

    @property
    def name(self) -> str:
        """Name on pages."""
        title = KINDS[self.kind][0].lower()
        season = f" {self.season}" if self.season else ""
        stage = f", stage {self.stage}" if self.stage else ""
        return f"block {self.id}, {title}{season}{stage}"


@dataclass(frozen=True)
class Stratum:
    """All blocks of one kind: ``gone`` of ``n`` items no longer count, ``waits`` have a notice but
    still count."""

    title: str
    shown_to: str
    blocks: int
    n: int
    gone: int
    waits: int


def parts(manifest: Manifest, notices: Sequence[Notice]) -> tuple[Part, ...]:
    """Return the blocks in order of their items."""
    gone = retired_blocks(manifest, notices)
    waits = waiting(manifest, notices)
    single = {notice.item for notice in notices if notice.item is not None}
    seasons = {}
    for number, season_block in enumerate(manifest.seasons, start=1):
        seasons[season_block] = number
    stages = {}
    for number, stage in enumerate(manifest.stages, start=1):
        for stage_block in stage:
            stages[stage_block] = number
    blocks = []
    for block in manifest.blocks:
        indices = set(block.indices())
        part = Part(
            id=block.id,
            kind="season" if block.id in seasons else block.stratum,
            start=block.start,
            n=block.n,
            season=seasons.get(block.id),
            stage=stages.get(block.id),
            gone=block.id in gone,
            errata=tuple(sorted(single & indices)),
            waits=len(waits & indices),
        )
        blocks.append(part)
    return tuple(blocks)


def strata(manifest: Manifest, notices: Sequence[Notice]) -> tuple[Stratum, ...]:
    """Return the kinds of blocks that the set has."""
    gone = retired(manifest, notices)
    blocks = parts(manifest, notices)
    result = []
    for kind, (title, shown_to) in KINDS.items():
        of_kind = [part for part in blocks if part.kind == kind]
        if not of_kind:
            continue
        indices: set[int] = set()
        for part in of_kind:
            indices.update(range(part.start, part.start + part.n))
        result.append(
            Stratum(
                title=title,
                shown_to=shown_to,
                blocks=len(of_kind),
                n=len(indices),
                gone=len(indices & set(gone)),
                waits=sum(part.waits for part in of_kind),
            )
        )
    return tuple(result)


_STRIP = """\
<svg class="strip" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" \
aria-label="Blocks: {}; {} retired, {} items with an erratum">{}</svg>"""
_BLOCK = """\
<rect class="{}" x="{}" y="1" width="{}" height="{}"><title>{}: {} items, {}</title></rect>{}"""
_STROKE = """\
<line class="stroke" x1="{}" x2="{}" y1="{}" y2="{}" vector-effect="non-scaling-stroke"/>"""
_HEAT = """\
<svg class="strip heat" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" \
aria-label="{} of {} blocks have been shown to a model; the table below names the recipients">\
{}</svg>"""
_HEAT_BLOCK = """\
<rect class="cold" x="{x}" y="1" width="{width}" height="{whole}"/>\
<rect class="{classes}" x="{x}" y="{top}" width="{width}" height="{height}" fill-opacity="{dark}">\
<title>{name}: {share}% of {n} items shown, {times} times each</title></rect>"""
_BAR = """\
<svg class="share" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" \
focusable="false"><rect class="cold" width="100" height="8"/>\
<rect class="part" width="{}" height="8"/></svg>"""


def strip(shown: Sequence[Part], *, season: int) -> SafeString:
    """Draw the blocks side by side, as wide as their number of items.

    Retired blocks are crossed out, errata are strokes. ``season`` is the open season, from 1.
    """
    total = sum(part.n for part in shown) or 1
    blocks = []
    counts: Counter[str] = Counter()
    for part in shown:
        block = _block(part, total, open_now=part.season == season)
        blocks.append((block,))
        title, _ = KINDS[part.kind]
        counts[title.lower()] += 1
    label = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    gone = sum(part.gone for part in shown)
    errata = sum(len(part.errata) for part in shown)
    content = format_html_join("", "{}", blocks)
    return format_html(_STRIP, WIDTH, HEIGHT, label, gone, errata, content)


def place(part: Part, total: int) -> tuple[float, float]:
    """Return the start and the width of a block in the strip."""
    gap = 4 if part.n / total > 0.02 else 0
    start = part.start / total * WIDTH + gap / 2
    width = max(part.n / total * WIDTH - gap, 1.0)
    return round(start, 1), round(width, 1)


def _block(part: Part, total: int, *, open_now: bool) -> SafeString:
    x, width = place(part, total)
    classes = part.kind
    state = "in use"
    strokes = []
    if open_now:
        classes += " open"
        state = "open now"
    if part.gone:
        classes += " gone"
        state = "retired"
        right = x + width
        strokes.append((x, right, 1, HEIGHT - 1))
        strokes.append((x, right, HEIGHT - 1, 1))
    for index in part.errata:
        at = round((index + 0.5) / total * WIDTH, 1)
        strokes.append((at, at, 1, HEIGHT - 1))
    marks = format_html_join("", _STROKE, strokes)
    return format_html(
        _BLOCK,
        classes,
        x,
        width,
        HEIGHT - 2,
        part.name,
        part.n,
        state,
        marks,
    )


@dataclass(frozen=True)
class BlockExposure:
    """Exposure of a block: the share of its items that was shown, from 0 to 1, how many times on
    average, and if a recipient saw it that may not."""

    share: float = 0.0
    times: float = 0.0
    wrong: bool = False


def heat(shown: Sequence[Part], exposures: Mapping[int, BlockExposure]) -> SafeString:
    """Draw the blocks, filled by the share of items that was shown, and darker for more exposures.

    ``exposures`` is by block id; a block that is missing in it was never shown.
    """
    total = sum(part.n for part in shown) or 1
    times = [exposure.times for exposure in exposures.values()]
    most = max(times, default=0.0) or 1.0
    whole = 2 * HEIGHT - 2
    blocks = []
    for part in shown:
        exposure = exposures.get(part.id, BlockExposure())
        x, width = place(part, total)
        height = round(exposure.share * whole, 1)
        block = format_html(
            _HEAT_BLOCK,
            classes="warmth wrong" if exposure.wrong else "warmth",
            x=x,
            top=round(whole + 1 - height, 1),
            width=width,
            height=height,
            whole=whole,
            dark=round(0.25 + 0.75 * exposure.times / most, 2),
            name=part.name,
            n=part.n,
            share=f"{100 * exposure.share:.0f}",
            times=f"{exposure.times:.1f}",
        )
        blocks.append((block,))
    exposed = sum(exposure.share > 0 for exposure in exposures.values())
    content = format_html_join("", "{}", blocks)
    return format_html(_HEAT, WIDTH, 2 * HEIGHT, exposed, len(shown), content)


def bar(share: float) -> SafeString:
    """Draw a share of a whole as a small bar."""
    drawn = min(max(share, 0.0), 1.0)
    return format_html(_BAR, round(100 * drawn, 1))
