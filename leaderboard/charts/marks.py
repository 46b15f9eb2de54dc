"""Small charts in rows as SVG, drawn from the numbers of a finished ranking.

Only presentation attributes and classes are used, because the content policy allows no inline
style. Colours come from the style sheet, so that one drawing serves light and dark.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import ceil, floor

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.charts.points import ChartPoint
from leaderboard.evidence.formats import percent, points

WIDTH = 256
GAP_WIDTH = 128
HEIGHT = 28
PAD = 8
_BOX = f'viewBox="{-PAD} 0 {WIDTH + 2 * PAD} {HEIGHT}" role="img"'
_GAP_BOX = f'viewBox="{-PAD} 0 {GAP_WIDTH + 2 * PAD} {HEIGHT}" role="img"'
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)


@dataclass(frozen=True)
class Axis:
    """Range of fractions with round ends, and its ticks."""

    lo: float
    hi: float
    ticks: tuple[float, ...]

    def x(self, share: float, *, width: float) -> float:
        """Return the place of ``share`` on a line of ``width``, clipped to the ends."""
        clipped = min(max(share, self.lo), self.hi)
        fraction = (clipped - self.lo) / (self.hi - self.lo)
        return round(fraction * width, 1)

    def places(self, width: float) -> Callable[[float], str]:
        """Return :meth:`x` for one width, as text."""
        return lambda share: f"{self.x(share, width=width):.1f}"

    @cached_property
    def grid(self) -> str:
        """Return the ticks as lines behind a dumbbell."""
        place = self.places(WIDTH)
        lines = "".join(f"M{place(tick)} 0v{HEIGHT}" for tick in self.ticks)
        return f'<path class="grid" d="{lines}"/>'


WHOLE = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def fitted(lo: float, hi: float) -> Axis:
    """Return the tightest axis with round ends around ``lo`` to ``hi`` and at most five ticks."""
    for step in STEPS:
        first = floor(lo / step + 1e-9)
        last = ceil(hi / step - 1e-9)
        if last - first <= 4:
            last = max(last, first + 1)
            places = range(first, last + 1)
            ticks = tuple(round(i * step, 4) for i in places)
            return Axis(first * step, last * step, ticks)
    step = 0.5
    first = floor(lo / step)
    last = max(ceil(hi / step), first + 1)
    ticks = tuple(i * step for i in range(first, last + 1))
    return Axis(first * step, last * step, ticks)


def score_axis(models: Sequence[ChartPoint], *, whole: bool) -> Axis:
    """Return the shared axis of the scores: 0 to 100%, or as the rows need."""
    if whole or not models:
        return WHOLE
    lows = []
    highs = []
    for model in models:
        low, high = model.private_interval
        lows.append(min(low, model.public))
        highs.append(max(high, model.public))
    return fitted(max(min(lows), 0.0), min(max(highs), 1.0))


def gap_axis(models: Sequence[ChartPoint]) -> Axis:
    """Return the shared axis of the gaps; zero is always on it."""
    return around_zero(model.interval for model in models)


def around_zero(intervals: Iterable[tuple[float, float]]) -> Axis:
    """Return the shared axis of these intervals of gaps; zero is always on it."""
    ends = [-0.05, 0.05]
    for interval in intervals:
        ends += interval
    return fitted(min(ends), max(ends))


@lru_cache(maxsize=64)
def scale(axis: Axis, *, width: int = WIDTH, signed: bool = False) -> SafeString:
    """Return the ticks of an axis, for the head of its column."""
    ticks = []
    for tick in axis.ticks:
        number = f"{100 * tick:+g}" if signed and tick else f"{100 * tick:g}"
        place = axis.x(tick, width=width)
        ticks.append((place, number.replace("-", "−")))
    return format_html(
        '<svg class="scale" viewBox="{} 0 {} 14" aria-hidden="true" focusable="false">{}</svg>',
        -PAD,
        width + 2 * PAD,
        format_html_join("", '<text x="{}" y="11" text-anchor="middle">{}</text>', ticks),
    )


def dumbbell(model: ChartPoint, axis: Axis) -> SafeString:
    """Return the private score on its interval, the public score, and the gap as a line between.

    The public score's circle is wider, so that both are visible where they coincide.
    """
    place = axis.places(WIDTH)
    start, end = model.private_interval
    low = axis.x(start, width=WIDTH)
    high = axis.x(end, width=WIDTH)
    width = max(high - low, 1.0)
    private = place(model.private)
    public = place(model.public)
    # Only numbers and classes of our own go in, and a page has many of these: no escaping.
    return SafeString(
        f'<svg class="db {model.level_class}" {_BOX} '
        f'aria-label="private {percent(model.private)}%, public {percent(model.public)}%">'
        f"{axis.grid}"
        f'<rect class="ci" x="{low}" y="7" width="{width:.1f}" height="14" rx="7"/>'
        f'<line class="gap" x1="{private}" x2="{public}" y1="14" y2="14"/>'
        f'<circle class="pub" cx="{public}" cy="14" r="5.8"/>'
        f'<circle class="prv" cx="{private}" cy="14" r="4.2"/></svg>'
    )


def gap_interval(model: ChartPoint, axis: Axis) -> SafeString:
    """Return the gap on its interval, with the line of no gap."""
    place = axis.places(GAP_WIDTH)
    low, high = model.interval
    left = place(low)
    right = place(high)
    zero = place(0.0)
    return SafeString(
        f'<svg class="gb {model.level_class}" {_GAP_BOX} aria-label="95% interval of the gap: '
        f'{points(low)} to {points(high)} percentage points">'
        f'<line class="zero" x1="{zero}" x2="{zero}" y1="1" y2="27"/>'
        f'<line class="wh" x1="{left}" x2="{right}" y1="14" y2="14"/>'
        f'<path class="end" d="M{left} 10v8M{right} 10v8"/>'
        f'<circle class="pt" cx="{place(model.gap)}" cy="14" r="4"/></svg>'
    )
