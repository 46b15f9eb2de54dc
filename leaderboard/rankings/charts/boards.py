"""Small pictures as SVG text, drawn from the numbers of a finished ranking.

Only presentation attributes and classes are used, because the site's content policy allows no inline style.
Colours come from the style sheet's roles, so that one picture serves light and dark. Every number that is
written into a picture is one of ours; names are escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.rankings.models import Row

WIDTH, HEIGHT, PAD = 256, 28, 8
GAP_WIDTH = 128
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
TONES = {"overfit": "hot", "watch": "warm", "no_evidence": "cool", "cannot_tell": "open", "pending": "open"}
"""The class that carries each evidence: colour, and weight or dashes with it."""


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


WHOLE = Axis(0.0, 1.0, (0.0, 0.25, 0.5, 0.75, 1.0))


def fitted(lo: float, hi: float) -> Axis:
    """The tightest axis with round ends around ``lo`` to ``hi`` that needs at most five ticks."""
    for step in STEPS:
        first, last = floor(lo / step + 1e-9), ceil(hi / step - 1e-9)
        if last - first <= 4:
            last = max(last, first + 1)
            return Axis(first * step, last * step, tuple(round(i * step, 4) for i in range(first, last + 1)))
    step = 0.5
    first, last = floor(lo / step), max(ceil(hi / step), floor(lo / step) + 1)
    return Axis(first * step, last * step, tuple(i * step for i in range(first, last + 1)))


def score_axis(rows: Sequence[Row], *, whole: bool) -> Axis:
    """The shared axis of the scores: 0 to 100%, or what the rows shown need."""
    if whole or not rows:
        return WHOLE
    shares = [share for row in rows for share in (*row.private.interval, row.public.accuracy)]
    return fitted(max(min(shares), 0.0), min(max(shares), 1.0))


def gap_axis(rows: Sequence[Row]) -> Axis:
    """The shared axis of the gaps; zero is always on it."""
    ends = [end for row in rows for end in row.interval]
    return fitted(min([-0.05, *ends]), max([0.05, *ends]))


def percent(share: float) -> str:
    """A fraction as a percentage with one decimal: 0.8291 is ``82.9``."""
    return f"{100 * share:.1f}"


def points(gap: float) -> str:
    """A gap in percentage points, signed, with a true minus: -0.038 is ``−3.8``."""
    text = f"{100 * gap:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def span(interval: tuple[float, float]) -> str:
    """An interval of gaps, in percentage points, cut where no gap can be."""
    low, high = (points(min(max(end, -1.0), 1.0)) for end in interval)
    return f"{low} to {high}"


def size(parameters: float) -> str:
    """A number of parameters in three digits: 434000 is ``434k``."""
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        # What rounds to a thousand of one unit is one of the next.
        if parameters >= 0.9995 * unit:
            return f"{parameters / unit:.3g}{letter}"
    return f"{parameters:.3g}"


def p_value(p: float) -> str:
    """A p as it is printed beside a word."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}"


@lru_cache(maxsize=64)
def _grid(axis: Axis, *, width: int) -> str:
    return "".join(
        '<line class="grid" x1="{0}" x2="{0}" y1="0" y2="{1}"/>'.format(axis.x(t, width=width), HEIGHT)
        for t in axis.ticks
    )


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


@dataclass(frozen=True)
class Marks:
    """What a dumbbell shows, in fractions, and the tone of its line."""

    private: float
    interval: tuple[float, float]
    public: float
    tone: str


def dumbbell(row: Row, axis: Axis) -> SafeString:
    """The dumbbell of a ranked row."""
    tone = TONES[row.evidence]
    return draw_dumbbell(Marks(row.private.accuracy, row.private.interval, row.public.accuracy, tone), axis)


def draw_dumbbell(marks: Marks, axis: Axis) -> SafeString:
    """The private score as a dot on its interval's band, the public one as a ring, the gap as the line between.

    The ring is wider than the dot, so that both are seen where they coincide.
    """
    private, public = axis.x(marks.private, width=WIDTH), axis.x(marks.public, width=WIDTH)
    lo, hi = axis.x(marks.interval[0], width=WIDTH), axis.x(marks.interval[1], width=WIDTH)
    # Nothing but our own numbers and tones goes in, and a page has many of these: they need no escaping.
    return SafeString(
        f'<svg class="db {marks.tone}" viewBox="{-PAD} 0 {WIDTH + 2 * PAD} {HEIGHT}" role="img" '
        f'aria-label="private {percent(marks.private)}%, public {percent(marks.public)}%">{_grid(axis, width=WIDTH)}'
        f'<rect class="ci" x="{lo}" y="7" width="{round(max(hi - lo, 1.0), 1)}" height="14" rx="7"/>'
        f'<line class="gap" x1="{private}" x2="{public}" y1="14" y2="14"/><circle class="pub" cx="{public}" cy="14" '
        f'r="5.8"/><circle class="prv" cx="{private}" cy="14" r="4.2"/></svg>'
    )


def gap_interval(row: Row, axis: Axis) -> SafeString:
    """The gap of a ranked row on its interval."""
    return draw_interval(row.gap, row.interval, TONES[row.evidence], axis)


def draw_interval(gap: float, interval: tuple[float, float], tone: str, axis: Axis) -> SafeString:
    """The gap as a dot on its interval, against the line of no gap."""
    lo, hi = axis.x(interval[0], width=GAP_WIDTH), axis.x(interval[1], width=GAP_WIDTH)
    zero, at = axis.x(0, width=GAP_WIDTH), axis.x(gap, width=GAP_WIDTH)
    return SafeString(
        f'<svg class="gb {tone}" viewBox="{-PAD} 0 {GAP_WIDTH + 2 * PAD} {HEIGHT}" role="img" '
        f'aria-label="95% interval of the gap: {points(interval[0])} to {points(interval[1])} percentage points">'
        f'<line class="zero" x1="{zero}" x2="{zero}" y1="1" y2="27"/>'
        f'<line class="wh" x1="{lo}" x2="{hi}" y1="14" y2="14"/>'
        f'<line class="end" x1="{lo}" x2="{lo}" y1="10" y2="18"/>'
        f'<line class="end" x1="{hi}" x2="{hi}" y1="10" y2="18"/>'
        f'<circle class="pt" cx="{at}" cy="14" r="4"/></svg>'
    )
