"""Chart points of rows of a published table."""

from collections.abc import Iterable

from leaderboard.charts.frontier import Sized
from leaderboard.charts.points import ChartPoint, FamilyMean
from leaderboard.evidence.summaries import FamilyLine
from leaderboard.published.results import Basis, PublishedResult

BILLION = 1e9


def sized(rows: Iterable[PublishedResult]) -> list[Sized]:
    """Return the models of known size with their private scores."""
    return [
        Sized(row.model, row.parameters * BILLION, row.private.accuracy)
        for row in rows
        if row.parameters
    ]


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
        parameters=row.parameters * BILLION if row.parameters else None,
    )


def mean_of(line: FamilyLine) -> FamilyMean:
    """Return the mean raw gap of a family."""
    return FamilyMean(line.family, line.members, line.higher, line.raw)
