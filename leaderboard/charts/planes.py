"""Pictures on two axes: private against public score, and the gap against the likelihood of the public items."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.charts.dots import Dot
from leaderboard.charts.marks import WHOLE, Axis, around_zero, fitted
from leaderboard.evidence.formats import percent, points

SIDE, LEFT, TOP = 292, 40, 14
"""The plane's square and where it begins, in its own units."""
BOTTOM = TOP + SIDE
RADII: Mapping[str, float] = {"hot": 5.5, "warm": 5.0, "cool": 4.5, "open": 4.5}
STRONG = 0.2
"""Models below this public score are drawn small beside their likelihood: chance moves their gaps most."""
_ORDER = ("cool", "open", "warm", "hot")


def scatter(dots: Sequence[Dot], curve: Sequence[tuple[float, float]] = ()) -> SafeString:
    """Private against public accuracy, with the diagonal on which both are equal, and what the references lead to
    expect as a ``curve`` of (private, public) points. Reds are drawn last, on top."""
    places = ((dot, SIDE * dot.public, SIDE * dot.private) for dot in on_top(dots))
    return format_html(
        '<svg class="sc" viewBox="0 0 352 348" role="img" aria-label="Private against public accuracy of {} models; '
        'those below the diagonal do worse on the private set">{}'
        '<line class="diag" x1="{}" y1="{}" x2="{}" y2="{}"/>{}'
        '<text class="note" x="326" y="268" text-anchor="end">below the dashed line:</text>'
        '<text class="note" x="326" y="284" text-anchor="end">worse on the private set</text>{}</svg>',
        len(dots),
        _frame(WHOLE),
        LEFT,
        BOTTOM,
        LEFT + SIDE,
        TOP,
        _expected(curve),
        _marks(places),
    )


def likelihood(dots: Sequence[Dot]) -> SafeString:
    """The gap against the log-likelihood per character, of the models that were read; the weak ones small and first."""
    read = [(dot, dot.likelihood) for dot in dots if dot.likelihood is not None]
    across = fitted(min(at for _, at in read), max(at for _, at in read))
    up = around_zero((dot.gap, dot.gap) for dot, _ in read)
    spots = {
        dot.model: (dot, across.x(at, width=SIDE), up.x(dot.gap, width=SIDE)) for dot, at in read
    }
    ordered = [spots[dot.model] for dot in on_top([dot for dot, _ in read])]
    return format_html(
        '<svg class="sc" viewBox="0 0 352 348" role="img" aria-label="Gap against log-likelihood per character of the '
        'public items, {} models">{}<g class="weak">{}</g>{}</svg>',
        len(read),
        _plane(across, up),
        _marks((one for one in ordered if one[0].public < STRONG), dict.fromkeys(RADII, 3.0)),
        _marks(one for one in ordered if one[0].public >= STRONG),
    )


def on_top(dots: Sequence[Dot]) -> list[Dot]:
    """Grey first, so that colours lie on top."""
    return [dot for tone in _ORDER for dot in dots if dot.tone == tone]


def _marks(
    places: Iterable[tuple[Dot, float, float]], radii: Mapping[str, float] = RADII
) -> SafeString:
    """Dots at (right, up) from the plane's corner, each with its numbers as a title."""
    return SafeString(
        "".join([_mark(dot, LEFT + x, BOTTOM - y, radii[dot.tone]) for dot, x, y in places])
    )


def _mark(dot: Dot, x: float, y: float, radius: float) -> str:
    # A page may have a thousand of these: of what is written only the names are not ours, and they are escaped.
    name = escape(dot.model)
    read = (
        f", likelihood {dot.likelihood:.3f}".replace("-", "−") if dot.likelihood is not None else ""
    )
    return (
        f'<circle class="{dot.tone}" data-model="{name}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        f"<title>{name}: private {percent(dot.private)}%, public {percent(dot.public)}%{read}</title></circle>"
    )


def _expected(curve: Sequence[tuple[float, float]]) -> SafeString:
    """What a panel expects, as a line through (private, public) points; nothing without points."""
    if not curve:
        return SafeString("")
    points_ = (
        f"{round(LEFT + WHOLE.x(public, width=SIDE), 1)},{round(BOTTOM - WHOLE.x(private, width=SIDE), 1)}"
        for private, public in curve
    )
    return format_html('<polyline class="curve" points="{}"/>', " ".join(points_))


@lru_cache(maxsize=4)
def _frame(axis: Axis) -> SafeString:
    """Grid, ticks and names of the axes of public against private accuracy."""
    right = LEFT + SIDE
    lines = format_html_join(
        "",
        '<line class="grid" x1="{0}" x2="{0}" y1="{2}" y2="{3}"/>'
        '<line class="grid" x1="{4}" x2="{5}" y1="{1}" y2="{1}"/>'
        '<text x="{0}" y="{6}" text-anchor="middle">{7}</text><text x="{8}" y="{9}" text-anchor="end">{7}</text>',
        (
            (
                LEFT + x,
                BOTTOM - x,
                BOTTOM,
                TOP,
                LEFT,
                right,
                BOTTOM + 17,
                f"{100 * tick:g}",
                LEFT - 7,
                BOTTOM - x + 4,
            )
            for tick in axis.ticks
            for x in (axis.x(tick, width=SIDE),)
        ),
    )
    return format_html(
        '{}<text class="ax" x="{}" y="343" text-anchor="middle">public accuracy, %</text>'
        '<text class="ax" transform="translate(11 {}) rotate(-90)" text-anchor="middle">private accuracy, %</text>',
        lines,
        LEFT + SIDE // 2,
        TOP + SIDE // 2,
    )


def _plane(across: Axis, up: Axis) -> SafeString:
    """Grid and names of the axes of gap against likelihood, with the line of no gap."""
    vertical = format_html_join(
        "",
        '<line class="grid" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/><text x="{0}" y="{3}" text-anchor="middle">{4}</text>',
        (
            (
                round(LEFT + across.x(tick, width=SIDE), 1),
                BOTTOM,
                TOP,
                BOTTOM + 17,
                f"{tick:g}".replace("-", "−"),
            )
            for tick in across.ticks
        ),
    )
    level = format_html_join(
        "",
        '<line class="{0}" x1="{1}" x2="{2}" y1="{3}" y2="{3}"/><text x="{4}" y="{5}" text-anchor="end">{6}</text>',
        (
            (
                "diag" if tick == 0 else "grid",
                LEFT,
                LEFT + SIDE,
                y,
                LEFT - 7,
                y + 4,
                points(tick).removesuffix(".0"),
            )
            for tick in up.ticks
            for y in (round(BOTTOM - up.x(tick, width=SIDE), 1),)
        ),
    )
    return format_html(
        '{}{}<text class="ax" x="{}" y="343" text-anchor="middle">log-likelihood per character, public items</text>'
        '<text class="ax" transform="translate(11 {}) rotate(-90)" text-anchor="middle">gap, pp</text>',
        vertical,
        level,
        LEFT + SIDE // 2,
        TOP + SIDE * 3 // 8,  # between two ticks of four steps, whose words would run into it
    )
