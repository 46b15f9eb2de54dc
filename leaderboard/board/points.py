"""Chart points of ranked rows."""

from leaderboard.board.rows import Row
from leaderboard.charts.points import ChartPoint, FamilyMean
from leaderboard.evidence.summaries import FamilyLine


def point_of(row: Row, *, compared: bool = False) -> ChartPoint:
    """Return the chart point of a model that was run here.

    The gap of a family is the adjusted one where models are ``compared`` with references.
    """
    adjusted = row.judged.adjusted if row.judged else None
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
        pooled_gap=(adjusted.gap if adjusted else None) if compared else row.gap,
        parameters=row.parameters,
        tokens=row.tokens,
    )


def mean_of(line: FamilyLine) -> FamilyMean:
    """Return the mean gap of a family: of the adjusted gaps where there are such."""
    return FamilyMean(
        line.family,
        line.members,
        line.higher,
        line.peers or line.raw,
        bool(line.peers),
    )
