"""Small pictures as SVG text, drawn from finished numbers."""

from leaderboard.rankings.charts.boards import (
    GAP_WIDTH,
    HEIGHT,
    PAD,
    WHOLE,
    WIDTH,
    Axis,
    dumbbell,
    fitted,
    gap_axis,
    gap_interval,
    p_value,
    percent,
    points,
    scale,
    score_axis,
    size,
    span,
)
from leaderboard.rankings.charts.dots import TONES, Dot, of_row
from leaderboard.rankings.charts.planes import scatter

__all__ = [
    "GAP_WIDTH",
    "HEIGHT",
    "PAD",
    "TONES",
    "WHOLE",
    "WIDTH",
    "Axis",
    "Dot",
    "dumbbell",
    "fitted",
    "gap_axis",
    "gap_interval",
    "of_row",
    "p_value",
    "percent",
    "points",
    "scale",
    "scatter",
    "score_axis",
    "size",
    "span",
]
