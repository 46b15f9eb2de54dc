"""What else is seen of a board: from public to private rank, one model among its peers, gap against likelihood."""

from collections.abc import Sequence

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from leaderboard.charts.dots import Dot
from leaderboard.charts.marks import fitted
from leaderboard.evidence.formats import percent

MOST_SLOPES = 60
"""More lines than these cannot be told apart."""


_STEP, _LEFT, _RIGHT, _WIDE = 16, 150, 226, 376


def draw_slopes(dots: Sequence[Dot]) -> SafeString:
    """A line for each model from its public rank to its private one, among these rows; reds on top.

    Equal ranks stand below each other in order of the names, so that every line has ends of its own.
    """
    shown = dots[:MOST_SLOPES]
    public = sorted(shown, key=lambda dot: (dot.public_rank, dot.model))
    private = sorted(shown, key=lambda dot: (dot.rank, dot.model))
    places = {dot.model: (public.index(dot), private.index(dot)) for dot in shown}
    height = _STEP * len(shown) + 40
    ordered = sorted(shown, key=lambda dot: dot.tone in ("hot", "warm"))
    lines = format_html_join(
        "",
        '<g class="{}" data-model="{}"><line x1="{}" y1="{}" x2="{}" y2="{}"/>'
        '<text x="{}" y="{}" text-anchor="end">{} {}</text><text x="{}" y="{}">{} {}</text></g>',
        (
            (
                dot.tone, dot.model, _LEFT, _y(first), _RIGHT, _y(second),
                _LEFT - 6, _y(first) + 4, _short(dot.model), dot.public_rank,
                _RIGHT + 6, _y(second) + 4, dot.rank, _short(dot.model),
            )
            for dot in ordered
            for first, second in (places[dot.model],)
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
    return name if len(name) <= 16 else f"{name[:15]}…"


def draw_peers(model: str, near: Sequence[Dot]) -> SafeString:
    """The private scores of models with a similar public score on one line; ``model`` is the large dot."""
    own = next(dot for dot in near if dot.model == model)
    axis = fitted(
        min(one.private_interval[0] if one is own else one.private for one in near),
        max(one.private_interval[1] if one is own else one.private for one in near),
    )
    width = 480
    lo, hi = (axis.x(end, width=width) for end in own.private_interval)
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
                one.tone,
                axis.x(one.private, width=width),
                7 if one is own else 4,
                one.model,
                percent(one.private),
            )
            for one in sorted(near, key=lambda one: one is own)
        ),
    )
    return format_html(
        '<svg class="sc peers" viewBox="-12 0 {} 60" role="img" aria-label="Private scores of {} models with a similar '
        'public score; {} has {}%">{}<rect class="ci" x="{}" y="15" width="{}" height="14" rx="7"/>{}</svg>',
        width + 24,
        len(near),
        model,
        percent(own.private),
        ticks,
        lo,
        round(max(hi - lo, 1.0), 1),
        dots,
    )
