"""Chart points of ranked rows."""

from leaderboard.board.rows import Row
from leaderboard.charts.points import ChartPoint


def point_of(row: Row) -> ChartPoint:
    """Return the chart point of a model that was run here."""
    return ChartPoint(
        model=row.model,
        family=row.family,
        private=row.private.accuracy,
        private_interval=row.private.interval,
        public=row.public.accuracy,
        gap=row.gap,
        interval=row.interval,
        rank=row.rank,
        public_rank=row.public_rank,
        level=row.evidence,
        likelihood=row.likelihood.public.per_character if row.likelihood else None,
    )
