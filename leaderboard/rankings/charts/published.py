"""The pictures of a published table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.rankings.charts.boards import (
    HEIGHT,
    LEFT,
    PAD,
    SIDE,
    TOP,
    WHOLE,
    WIDTH,
    Axis,
    Marks,
    draw_dumbbell,
    draw_interval,
    expected,
    fitted,
    percent,
    points,
    scatter_frame,
)
from leaderboard.rankings.models import Basis, EvidenceWord, FamilyLine, PanelFacts, PublishedLine

TONES: Mapping[EvidenceWord, str] = {
    "overfit": "hot",
    "watch": "warm",
    "no_evidence": "cool",
    "cannot_tell": "open",
}
"""The class that carries each word: colour, and weight or dashes with it."""
ORDER: Sequence[EvidenceWord] = ("no_evidence", "cannot_tell", "watch", "overfit")
RADII: Mapping[str, float] = {"hot": 5.5, "warm": 5.0, "cool": 4.5, "open": 4.5}


def score_axis(lines: Sequence[PublishedLine], *, whole: bool) -> Axis:
    """The shared axis of the scores: 0 to 100%, or what the rows shown need."""
    if whole or not lines:
        return WHOLE
    shares = [share for line in lines for share in (*line.private.interval, line.public.accuracy)]
    return fitted(max(min(shares), 0.0), min(max(shares), 1.0))


def gap_axis(intervals: Iterable[tuple[float, float]]) -> Axis:
    """A shared axis of gaps; zero is always on it."""
    ends = [end for interval in intervals for end in interval]
    return fitted(min([-0.05, *ends]), max([0.05, *ends]))


def dumbbell(line: PublishedLine, basis: Basis, axis: Axis) -> SafeString:
    """Private and public score of a published row."""
    tone = TONES[line.word(basis)]
    return draw_dumbbell(Marks(line.private.accuracy, line.private.interval, line.public.accuracy, tone), axis)


def gap_interval(line: PublishedLine, basis: Basis, axis: Axis) -> SafeString:
    """The raw gap of a published row on its interval."""
    return draw_interval(line.gap, line.interval, TONES[line.word(basis)], axis)


def scatter(lines: Sequence[PublishedLine], basis: Basis, panel: PanelFacts | None) -> SafeString:
    """Private against public accuracy, with the diagonal, and what the other models lead to expect as a curve."""
    bottom = TOP + SIDE
    curve = expected(panel.curve if panel else (), WHOLE, bottom=bottom)
    dots = (
        (line, LEFT + WHOLE.x(line.public.accuracy, width=SIDE), bottom - WHOLE.x(line.private.accuracy, width=SIDE))
        for line in _on_top(lines, basis)
    )
    return format_html(
        '<svg class="sc" viewBox="0 0 344 348" role="img" aria-label="Private against public accuracy of {} published '
        'models; those below the diagonal do worse on the private set">{}'
        '<line class="diag" x1="{}" y1="{}" x2="{}" y2="{}"/>{}'
        '<text class="note" x="326" y="268" text-anchor="end">below the dashed line:</text>'
        '<text class="note" x="326" y="284" text-anchor="end">worse on the private set</text>{}</svg>',
        len(lines),
        scatter_frame(WHOLE, bottom=bottom),
        LEFT,
        bottom,
        LEFT + SIDE,
        TOP,
        curve,
        _dots(dots, basis),
    )


def _on_top(lines: Sequence[PublishedLine], basis: Basis) -> list[PublishedLine]:
    """Grey first, so that colours lie on top."""
    return sorted(lines, key=lambda line: ORDER.index(line.word(basis)))


def _dots(
    dots: Iterable[tuple[PublishedLine, float, float]], basis: Basis, radii: Mapping[str, float] = RADII
) -> SafeString:
    return format_html_join(
        "",
        '<circle class="{}" data-model="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>',
        (
            (
                tone := TONES[line.word(basis)],
                line.model,
                round(x, 1),
                round(y, 1),
                radii[tone],
                f"{line.model}: private {percent(line.private.accuracy)}%, public {percent(line.public.accuracy)}%"
                + (f", likelihood {line.loglik:.3f}".replace("-", "−") if line.loglik is not None else ""),
            )
            for line, x, y in dots
        ),
    )


def likelihood(lines: Sequence[PublishedLine], basis: Basis, *, strong: float = 0.2) -> SafeString:
    """The gap against the log-likelihood per character; models below ``strong`` on the public set are small."""
    own = [line for line in lines if line.loglik is not None]
    logliks = [line.loglik for line in own if line.loglik is not None]
    gaps = gap_axis((line.gap, line.gap) for line in own)
    across = fitted(min(logliks), max(logliks))
    bottom = TOP + SIDE
    dots = [
        (line, LEFT + across.x(at, width=SIDE), bottom - gaps.x(line.gap, width=SIDE))
        for line, at in zip(own, logliks, strict=True)
    ]
    weak = [dot for dot in dots if dot[0].public.accuracy < strong]
    rest = [dot for dot in dots if dot[0].public.accuracy >= strong]
    rest.sort(key=lambda dot: ORDER.index(dot[0].word(basis)))
    return format_html(
        '<svg class="sc" viewBox="0 0 344 348" role="img" aria-label="Gap against log-likelihood per character of the '
        'public items, {} models">{}<g class="weak">{}</g>{}</svg>',
        len(own),
        plane(across, gaps, bottom=bottom),
        _dots(weak, basis, dict.fromkeys(RADII, 3.0)),
        _dots(rest, basis),
    )


def plane(across: Axis, up: Axis, *, bottom: int) -> SafeString:
    """Grid and names of the axes of gap against likelihood, with the line of no gap."""
    vertical = format_html_join(
        "",
        '<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/><text x="{0}" y="{3}" text-anchor="middle">{4}</text>',
        (
            (round(LEFT + across.x(tick, width=SIDE), 1), bottom, TOP, bottom + 17, f"{tick:g}".replace("-", "−"))
            for tick in across.ticks
        ),
    )
    level = format_html_join(
        "",
        '<line class="{0}" x1="{1}" x2="{2}" y1="{3}" y2="{3}"/><text x="{4}" y="{5}" text-anchor="end">{6}</text>',
        (
            ("diag" if tick == 0 else "grid", LEFT, LEFT + SIDE, y, LEFT - 7, y + 4, points(tick).removesuffix(".0"))
            for tick in up.ticks
            for y in (round(bottom - up.x(tick, width=SIDE), 1),)
        ),
    )
    return format_html(
        '{}{}<text class="ax" x="{}" y="343" text-anchor="middle">log-likelihood per character, public items</text>'
        '<text class="ax" transform="translate(11 {}) rotate(-90)" text-anchor="middle">gap, pp</text>',
        vertical,
        level,
        LEFT + SIDE // 2,
        TOP + SIDE // 2,
    )


class HasGap(Protocol):
    """Whatever has a gap, as a fraction."""

    @property
    def gap(self) -> float:
        """Public less private accuracy."""


def family_forest(family: FamilyLine, members: Iterable[HasGap], axis: Axis) -> SafeString:
    """One family of the forest plot: its members' gaps as ticks, their mean as a diamond on its interval."""
    pooled = family.raw
    ticks = format_html_join(
        "",
        '<line class="member" x1="{0}" x2="{0}" y1="7" y2="21"/>',
        ((axis.x(line.gap, width=WIDTH),) for line in members),
    )
    around = ""
    if pooled.interval is not None:
        lo, hi = (axis.x(end, width=WIDTH) for end in pooled.interval)
        around = format_html('<line class="wh" x1="{}" x2="{}" y1="14" y2="14"/>', lo, hi)
    at, zero = axis.x(pooled.estimate, width=WIDTH), axis.x(0, width=WIDTH)
    return format_html(
        '<svg class="gb forest {}" viewBox="{} 0 {} {}" role="img" aria-label="{}">'
        '<line class="zero" x1="{}" x2="{}" y1="1" y2="27"/>{}{}<path class="pt" d="M{} 14l5-6 5 6-5 6z"/></svg>',
        "hot" if pooled.above else "cool",
        -PAD,
        WIDTH + 2 * PAD,
        HEIGHT,
        f"{family.family}: mean gap {points(pooled.estimate)} percentage points over {family.members}",
        zero,
        zero,
        ticks,
        around,
        round(at - 5, 1),
    )
