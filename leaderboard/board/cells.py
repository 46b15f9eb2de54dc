"""Cells of a ranking's rows: numbers as text and figures as SVG, ready for a template."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from leaderboard.board.points import of_row
from leaderboard.board.rows import Row, Score
from leaderboard.charts import marks
from leaderboard.charts.dots import TONES
from leaderboard.evidence import explain, formats


@dataclass(frozen=True)
class Cells:
    """One row as text. Shares and gaps are in percent and percentage points."""

    row: Row
    rank: str
    size: str
    access: str
    private: str
    private_counts: str
    private_interval: str
    public: str
    public_counts: str
    gap: str
    gap_interval: str
    adjusted: str
    adjusted_interval: str
    item_selection: str
    tone: str
    grounds: str
    explanation: str


@dataclass(frozen=True)
class Drawn:
    """A row with its figures: both scores, and the interval of the gap."""

    cells: Cells
    scores: SafeString
    interval: SafeString


@dataclass(frozen=True)
class Table:
    """Rows on axes that they share, and the ticks above their columns."""

    rows: Sequence[Drawn]
    score_scale: SafeString
    gap_scale: SafeString
    has_adjusted: bool


def table(rows: Sequence[Row], *, whole: bool = False) -> Table:
    """Return the rows drawn on axes that fit them, or with scores on the ``whole`` range."""
    points = [of_row(row) for row in rows]
    scores = marks.score_axis(points, whole=whole)
    gaps = marks.gap_axis(points)
    drawn = [
        Drawn(cells(row), marks.dumbbell(point, scores), marks.gap_interval(point, gaps))
        for row, point in zip(rows, points, strict=True)
    ]
    return Table(
        rows=drawn,
        score_scale=marks.scale(scores),
        gap_scale=marks.scale(gaps, width=marks.GAP_WIDTH, signed=True),
        has_adjusted=any(one.cells.adjusted_interval for one in drawn),
    )


def cells(row: Row) -> Cells:
    """Return the texts of a row."""
    best, worst = row.rank_range
    low, high = row.private.interval
    adjusted = row.judged.adjusted if row.judged else None
    is_whole_set = row.tier == "T0" and not row.version
    return Cells(
        row=row,
        rank=str(best) if best == worst else f"{best}–{worst}",
        size=formats.size(row.parameters) if row.parameters else "",
        access="open weights" if row.open_weights else row.access,
        private=formats.percent(row.private.accuracy),
        private_counts=f"{row.private.right}/{row.private.n}",
        private_interval=f"{formats.percent(low)}–{formats.percent(high)}",
        public=formats.percent(row.public.accuracy),
        public_counts=f"{row.public.right}/{row.public.n}",
        gap=formats.points(row.gap),
        gap_interval=formats.span(row.interval),
        adjusted=formats.points(adjusted.gap) if adjusted else "",
        adjusted_interval=formats.span(adjusted.interval) if adjusted else "",
        item_selection="" if is_whole_set else row.form,
        tone=TONES[row.evidence],
        grounds=explain.grounds(row.judged, _truncated(row.public), _truncated(row.private)),
        explanation=explain.evidence(row.judged, row.gap),
    )


def _truncated(score: Score) -> tuple[int, int]:
    return score.truncated, score.n
