"""Calibration of vote shares as a square of SVG. The page repeats its numbers as a table."""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from evaluator.contract import VoteBin, Votes

SIDE = 200
"""Side of the square, from 0 to 1 both ways."""
EDGE = 10
"""Margin around the square."""
_SQUARE = """\
<svg class="calibration" viewBox="0 0 {whole} {whole}" role="img" \
aria-label="Share of the vote against the share that is right, in {count} bins; \
a table repeats the numbers">\
<rect class="frame" x="{edge}" y="{edge}" width="{side}" height="{side}"/>\
<line class="grid" x1="{edge}" y1="{far}" x2="{far}" y2="{edge}"/>{points}</svg>"""
_POINT = """\
<circle class="prv" cx="{}" cy="{}" r="{}"><title>{} items: share {}, right {}</title></circle>"""


def calibration(votes: Votes) -> SafeString:
    """Draw a point for each bin: the mean share of its votes against the share that is right.

    On the diagonal both are equal. A point's area grows with the number of its items.
    """
    points = []
    for part in votes.bins:
        x, y = place(part)
        radius = round(3 + 9 * (part.n / votes.n) ** 0.5, 1)
        right = f"{part.right / part.n:.2f}"
        points.append((x, y, radius, part.n, f"{part.share:.2f}", right))
    return format_html(
        _SQUARE,
        whole=SIDE + 2 * EDGE,
        edge=EDGE,
        side=SIDE,
        far=SIDE + EDGE,
        count=len(votes.bins),
        points=format_html_join("", _POINT, points),
    )


def place(part: VoteBin) -> tuple[float, float]:
    """Return the place of a bin's point, in the figure's units, from the upper left corner."""
    x = EDGE + SIDE * part.share
    y = EDGE + SIDE * (1 - part.right / part.n)
    return round(x, 1), round(y, 1)
