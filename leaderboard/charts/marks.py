"""Small pictures as SVG text, drawn from the numbers of a finished ranking.

Only presentation attributes and classes are used, because the site's content policy allows no inline style.
Colours come from the style sheet's roles, so that one picture serves light and dark. Every number that is
written into a picture is one of ours; names are escaped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil, floor

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.charts.dots import Dot
from leaderboard.evidence.formats import percent, points

WIDTH, HEIGHT, PAD = 256, 28, 8


GAP_WIDTH = 128


_BOX, _GAP_BOX = (
    f'viewBox="{-PAD} 0 {width + 2 * PAD} {HEIGHT}" role="img"' for width in (WIDTH, GAP_WIDTH)
)


STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)


@dataclass(frozen=True)
class Axis:
    """A range of fractions with round ends, and the ticks between them."""

    lo: float
    hi: float
    ticks: tuple[float, ...]

    def x(self, share: float, *, width: float) -> float:
        """Where ``share`` lies on a line of ``width``, held inside the ends."""
        lo, hi = self.lo, self.hi
        held = lo if share < lo else hi if share > hi else share
        return round((held - lo) / (hi - lo) * width, 1)

    def places(self, width: float) -> Callable[[float], str]:
        """As :meth:`x`, of many shares and as text."""
        lo, hi = self.lo, self.hi
        span = hi - lo

        def place(share: float) -> str:
            held = lo if share < lo else hi if share > hi else share
            return f"{(held - lo) / span * width:.1f}"

        return place

    @cached_property
    def grid(self) -> str:
        """Its ticks as lines through a dumbbell."""
        ticks = map(self.places(WIDTH), self.ticks)
        return f'<path class="grid" d="{"".join(f"M{at} 0v{HEIGHT}" for at in ticks)}"/>'


WHOLE = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def fitted(lo: float, hi: float) -> Axis:
    """The tightest axis with round ends around ``lo`` to ``hi`` that needs at most five ticks."""
    for step in STEPS:
        first, last = floor(lo / step + 1e-9), ceil(hi / step - 1e-9)
        if last - first <= 4:
            last = max(last, first + 1)
            return Axis(
                first * step, last * step, tuple(round(i * step, 4) for i in range(first, last + 1))
            )
    step = 0.5
    first, last = floor(lo / step), max(ceil(hi / step), floor(lo / step) + 1)
    return Axis(first * step, last * step, tuple(i * step for i in range(first, last + 1)))


def score_axis(dots: Sequence[Dot], *, whole: bool) -> Axis:
    """The shared axis of the scores: 0 to 100%, or what the rows shown need."""
    if whole or not dots:
        return WHOLE
    low = min([min(dot.private_interval[0], dot.public) for dot in dots])
    high = max([max(dot.private_interval[1], dot.public) for dot in dots])
    return fitted(max(low, 0.0), min(high, 1.0))


def gap_axis(dots: Sequence[Dot]) -> Axis:
    """The shared axis of the gaps; zero is always on it."""
    return around_zero(dot.interval for dot in dots)


def around_zero(intervals: Iterable[tuple[float, float]]) -> Axis:
    """Return the shared axis of these intervals of gaps; zero is always on it."""
    ends = [end for interval in intervals for end in interval]
    return fitted(min([-0.05, *ends]), max([0.05, *ends]))


@lru_cache(maxsize=64)
def scale(axis: Axis, *, width: int = WIDTH, signed: bool = False) -> SafeString:
    """The ticks of an axis, printed once above its column."""
    words = ((axis.x(tick, width=width), _tick(tick, signed=signed)) for tick in axis.ticks)
    return format_html(
        '<svg class="scale" viewBox="{} 0 {} 14" aria-hidden="true" focusable="false">{}</svg>',
        -PAD,
        width + 2 * PAD,
        format_html_join("", '<text x="{}" y="11" text-anchor="middle">{}</text>', words),
    )


def _tick(tick: float, *, signed: bool) -> str:
    number = f"{100 * tick:+g}" if signed and tick else f"{100 * tick:g}"
    return number.replace("-", "−")


def dumbbell(dot: Dot, axis: Axis) -> SafeString:
    """The private score as a dot on its interval's band, the public one as a ring, the gap as the line between.

    The ring is wider than the dot, so that both are seen where they coincide.
    """
    place, (low, high) = axis.places(WIDTH), dot.private_interval
    lo, hi, at, ring = place(low), place(high), place(dot.private), place(dot.public)
    # Nothing but our own numbers and tones goes in, and a page has many of these: they need no escaping.
    return SafeString(
        f'<svg class="db {dot.tone}" {_BOX} '
        f'aria-label="private {percent(dot.private)}%, public {percent(dot.public)}%">{axis.grid}'
        f'<rect class="ci" x="{lo}" y="7" width="{max(float(hi) - float(lo), 1.0):.1f}" height="14" rx="7"/>'
        f'<line class="gap" x1="{at}" x2="{ring}" y1="14" y2="14"/><circle class="pub" cx="{ring}" cy="14" r="5.8"/>'
        f'<circle class="prv" cx="{at}" cy="14" r="4.2"/></svg>'
    )


def gap_interval(dot: Dot, axis: Axis) -> SafeString:
    """The gap as a dot on its interval, against the line of no gap."""
    place, (low, high) = axis.places(GAP_WIDTH), dot.interval
    lo, hi, zero, at = place(low), place(high), place(0.0), place(dot.gap)
    return SafeString(
        f'<svg class="gb {dot.tone}" {_GAP_BOX} '
        f'aria-label="95% interval of the gap: {points(low)} to {points(high)} percentage points">'
        f'<line class="zero" x1="{zero}" x2="{zero}" y1="1" y2="27"/>'
        f'<line class="wh" x1="{lo}" x2="{hi}" y1="14" y2="14"/>'
        f'<path class="end" d="M{lo} 10v8M{hi} 10v8"/><circle class="pt" cx="{at}" cy="14" r="4"/></svg>'
    )
