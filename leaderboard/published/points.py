"""Chart points of rows of a published table."""

from leaderboard.charts.dots import TONES, Dot
from leaderboard.published.results import Basis, PublishedLine


def of_line(line: PublishedLine, basis: Basis) -> Dot:
    """A model of a published table, under one of the two suppositions."""
    word = line.word(basis)
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
        word=word.label,
        tone=TONES[word],
        likelihood=line.loglik,
    )
