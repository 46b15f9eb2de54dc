"""Chart points of rows of a published table."""

from leaderboard.charts.dots import TONES, Dot
from leaderboard.published.results import Basis, PublishedResult


def point_of(line: PublishedResult, basis: Basis) -> Dot:
    """Return the chart point of a model, with its evidence level under ``basis``."""
    level = line.level(basis)
    return Dot(
        model=line.model,
        family=line.family,
        private=line.private.accuracy,
        private_interval=line.private.interval,
        public=line.public.accuracy,
        gap=line.gap,
        interval=line.interval,
        rank=line.rank,
        public_rank=line.public_rank,
        word=level.label,
        tone=TONES[level],
        likelihood=line.loglik,
    )
