"""How the private score reorders models: everyone from public to private rank, and one among its peers."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.rankings.charts.boards import TONES, fitted, percent
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
