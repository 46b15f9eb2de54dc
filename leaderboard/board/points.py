"""Chart points of ranked rows."""

from leaderboard.board.rows import Row
from leaderboard.charts.dots import TONES, Dot


def of_row(row: Row) -> Dot:
    """A model that we ran."""
    return Dot(
        model=row.model,
        family=row.family,
        private=row.private.accuracy,
        private_interval=row.private.interval,
        public=row.public.accuracy,
        gap=row.gap,
        interval=row.interval,
        rank=row.rank,
        public_rank=row.public_rank,
        word=row.word,
        tone=TONES[row.evidence],
        likelihood=row.likelihood.public.per_character if row.likelihood else None,
    )
