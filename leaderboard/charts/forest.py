"""Forest plot of families: one small chart a row."""

from collections.abc import Iterable

from django.utils.html import format_html
from django.utils.safestring import SafeString

from leaderboard.charts.marks import HEIGHT, PAD, WIDTH, Axis
from leaderboard.charts.points import FamilyMean
from leaderboard.evidence.formats import points


def family_forest(family: FamilyMean, gaps: Iterable[float], axis: Axis) -> SafeString:
    """Return one family: its members' ``gaps`` as ticks, the mean as a diamond on its interval."""
    pooled = family.gap
    place = axis.places(WIDTH)
    ticks = "".join(f"M{place(gap)} 7v14" for gap in gaps)
    around = ""
    if pooled.interval is not None:
        low, high = pooled.interval
        around = format_html(
            '<line class="wh" x1="{}" x2="{}" y1="14" y2="14"/>',
            axis.x(low, width=WIDTH),
            axis.x(high, width=WIDTH),
        )
    at = axis.x(pooled.estimate, width=WIDTH)
    zero = axis.x(0, width=WIDTH)
    return format_html(
        '<svg class="gb forest {}" viewBox="{} 0 {} {}" role="img" aria-label="{}">'
        '<line class="zero" x1="{}" x2="{}" y1="1" y2="27"/><path class="member" d="{}"/>{}'
        '<path class="pt" d="M{} 14l5-6 5 6-5 6z"/></svg>',
        "hot" if pooled.above else "cool",
        -PAD,
        WIDTH + 2 * PAD,
        HEIGHT,
        f"{family.family}: mean gap {points(pooled.estimate)} percentage points"
        f" over {family.members}",
        zero,
        zero,
        ticks,
        around,
        round(at - 5, 1),
    )
