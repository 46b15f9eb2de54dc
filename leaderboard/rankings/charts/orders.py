"""What else is seen of a board: from public to private rank, one model among its peers, gap against likelihood."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.rankings.charts.boards import LEFT, SIDE, TONES, TOP, fitted, percent, points
from leaderboard.rankings.charts.published import gap_axis, plane
from leaderboard.rankings.models import Row

MOST_SLOPES = 60
"""More lines than these cannot be told apart."""
_STEP, _LEFT, _RIGHT, _WIDE = 16, 150, 350, 500


def slopes(rows: Sequence[Row]) -> SafeString:
    """A line for each model from its public rank to its private one, among these rows; reds on top.

    Equal ranks stand below each other in order of the names, so that every line has ends of its own.
    """
    shown = rows[:MOST_SLOPES]
    public = sorted(shown, key=lambda row: (row.public_rank, row.model))
    private = sorted(shown, key=lambda row: (row.rank, row.model))
    places = {row.model: (public.index(row), private.index(row)) for row in shown}
    height = _STEP * len(shown) + 40
    ordered = sorted(shown, key=lambda row: row.evidence in ("overfit", "watch"))
    lines = format_html_join(
        "",
        '<g class="{}" data-model="{}"><line x1="{}" y1="{}" x2="{}" y2="{}"/>'
        '<text x="{}" y="{}" text-anchor="end">{} {}</text><text x="{}" y="{}">{} {}</text></g>',
        (
            (
                TONES[row.evidence], row.model, _LEFT, _y(first), _RIGHT, _y(second),
                _LEFT - 6, _y(first) + 4, _short(row.model), row.public_rank,
                _RIGHT + 6, _y(second) + 4, row.rank, _short(row.model),
            )
            for row in ordered
            for first, second in (places[row.model],)
        ),
    )  # fmt: skip
    return format_html(
        '<svg class="slopes" viewBox="0 0 {} {}" role="img" aria-label="From public to private rank, {} models">'
        '<text class="ax" x="{}" y="16" text-anchor="end">public rank</text><text class="ax" x="{}" y="16">'
        "private rank</text>{}</svg>",
        _WIDE,
        height,
        len(shown),
        _LEFT - 6,
        _RIGHT + 6,
        lines,
    )


def _y(place: int) -> int:
    return 34 + _STEP * place


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"


def peers(row: Row, near: Sequence[Row]) -> SafeString:
    """The private scores of models with a similar public score on one line; ``row`` is the large dot."""
    axis = fitted(
        min(one.private.interval[0] if one is row else one.private.accuracy for one in near),
        max(one.private.interval[1] if one is row else one.private.accuracy for one in near),
    )
    width = 480
    lo, hi = (axis.x(end, width=width) for end in row.private.interval)
    ticks = format_html_join(
        "",
        '<line class="grid" x1="{0}" x2="{0}" y1="4" y2="40"/><text x="{0}" y="56" text-anchor="middle">{1}</text>',
        ((axis.x(tick, width=width), percent(tick).removesuffix(".0")) for tick in axis.ticks),
    )
    dots = format_html_join(
        "",
        '<circle class="{}" cx="{}" cy="22" r="{}"><title>{}: private {}%</title></circle>',
        (
            (
                TONES[one.evidence],
                axis.x(one.private.accuracy, width=width),
                7 if one is row else 4,
                one.model,
                percent(one.private.accuracy),
            )
            for one in sorted(near, key=lambda one: one is row)
        ),
    )
    return format_html(
        '<svg class="sc peers" viewBox="-12 0 {} 60" role="img" aria-label="Private scores of {} models with a similar '
        'public score; {} has {}%">{}<rect class="ci" x="{}" y="15" width="{}" height="14" rx="7"/>{}</svg>',
        width + 24,
        len(near),
        row.model,
        percent(row.private.accuracy),
        ticks,
        lo,
        round(max(hi - lo, 1.0), 1),
        dots,
    )


def likelihood(rows: Sequence[Row]) -> SafeString:
    """The gap against the log-likelihood per character of the public items, of the rows that have one; reds on top."""
    known = [(row, row.likelihood.public.per_character) for row in rows if row.likelihood]
    across = fitted(min(at for _, at in known), max(at for _, at in known))
    gaps, bottom = gap_axis((row.gap, row.gap) for row, _ in known), TOP + SIDE
    dots = format_html_join(
        "",
        '<circle class="{}" data-model="{}" cx="{}" cy="{}" r="4.5">'
        "<title>{}: gap {} pp, likelihood {}</title></circle>",
        (
            (
                TONES[row.evidence],
                row.model,
                round(LEFT + across.x(at, width=SIDE), 1),
                round(bottom - gaps.x(row.gap, width=SIDE), 1),
                row.model,
                points(row.gap),
                f"{at:.3f}".replace("-", "−"),
            )
            for row, at in sorted(known, key=lambda one: one[0].evidence == "overfit")
        ),
    )
    return format_html(
        '<svg class="sc" viewBox="0 0 344 348" role="img" aria-label="Gap against log-likelihood per character of the '
        'public items, {} models">{}{}</svg>',
        len(known),
        plane(across, gaps, bottom=bottom),
        dots,
    )
