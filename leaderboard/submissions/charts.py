"""Calibration of vote shares as a square of SVG. Its numbers stand in a
table beside it."""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from evaluator.contract import VoteBin, Votes

SIDE, EDGE = 200, 10
"""The square that goes from 0 to 1 both ways, and what is left around it."""


def calibration(votes: Votes) -> SafeString:
    """A dot for each bin: the mean share of its votes from left to right, how many of them are
    right upwards.

    On the line both are equal. A dot's area is as the number of its items.
    """
    whole = SIDE + 2 * EDGE
    dots = format_html_join("", "{}", ((_dot(one, votes.n),) for one in votes.bins))
    return format_html(
        '<svg class="calibration" viewBox="0 0 {whole} {whole}" role="img" aria-label="Share of the vote against the '
        'share that is right, in {count} bins; the table says the same">'
        '<rect class="frame" x="{edge}" y="{edge}" width="{side}" height="{side}"/>'
        '<line class="grid" x1="{edge}" y1="{far}" x2="{far}" y2="{edge}"/>{dots}</svg>',
        whole=whole,
        edge=EDGE,
        side=SIDE,
        far=SIDE + EDGE,
        count=len(votes.bins),
        dots=dots,
    )


def place(one: VoteBin) -> tuple[float, float]:
    """Return the place of a bin's mark, in the figure's units, from above."""
    return round(EDGE + SIDE * one.share, 1), round(EDGE + SIDE * (1 - one.right / one.n), 1)


def _dot(one: VoteBin, n: int) -> SafeString:
    x, y = place(one)
    return format_html(
        '<circle class="prv" cx="{}" cy="{}" r="{}"><title>{} items: share {}, right {}</title></circle>',
        x, y, round(3 + 9 * (one.n / n) ** 0.5, 1), one.n, f"{one.share:.2f}", f"{one.right / one.n:.2f}",
    )  # fmt: skip
