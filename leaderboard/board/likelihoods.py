"""Association of likelihood and gap over ranked rows."""

from collections.abc import Sequence

from leaderboard.board.rows import Row
from leaderboard.evidence.likelihoods import Read, associated
from leaderboard.evidence.summaries import Likelihood


def of_rows(rows: Sequence[Row]) -> Likelihood | None:
    """Of the models that we ran: weights that were read. A model without a family is one of its
    own."""
    return associated(
        [
            Read(
                likelihood=row.likelihood.public.per_character,
                private=row.likelihood.private.per_character,
                gap=row.gap,
                family=row.family or f"{row.model} alone",
                public_score=row.public.accuracy,
                private_score=row.private.accuracy,
                parameters=row.parameters,
            )
            for row in rows
            if row.likelihood
        ]
    )
