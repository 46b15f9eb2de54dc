"""Chart points of rows of a published table."""

from leaderboard.charts.points import ChartPoint, FamilyMean
from leaderboard.evidence.summaries import FamilyLine
from leaderboard.published.results import Basis, PublishedResult


def point_of(row: PublishedResult, basis: Basis) -> ChartPoint:
    """Return the chart point of a model, with its evidence level under ``basis``."""
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
        level=row.level(basis),
        likelihood=row.loglik,
        pooled_gap=row.gap,
    )


def mean_of(line: FamilyLine) -> FamilyMean:
    """Return the mean raw gap of a family."""
    return FamilyMean(line.family, line.members, line.higher, line.raw)
