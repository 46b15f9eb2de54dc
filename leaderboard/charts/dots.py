"""What a picture says of one model, whether we ran it or somebody published it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from leaderboard.evidence.summaries import FamilyLine

T = TypeVar("T")


TONES = {
    "overfit": "hot",
    "watch": "warm",
    "no_evidence": "cool",
    "cannot_tell": "open",
    "pending": "open",
}
"""The class that carries each evidence: colour, and weight or dashes with it."""


MOST_DOTS = 1000
"""More than these lie on each other, and are slow to draw on a phone."""


MOST_LINES = 60
"""More than these, one below the other, nobody reads."""


SIMILAR = 0.05
"""Models whose public scores differ by so much at most are peers."""


class Dot(NamedTuple):
    """One model. Shares are fractions, intervals 95%; ``word`` is its evidence, ``tone`` the class that carries it.

    ``likelihood`` is per character of the public items, in nats; None where the model was not read.
    """

    model: str
    family: str
    private: float
    private_interval: tuple[float, float]
    public: float
    gap: float
    interval: tuple[float, float]
    rank: int
    public_rank: int
    word: str
    tone: str
    likelihood: float | None


@dataclass(frozen=True)
class Shown:
    """What a picture is of: models, of ``total`` that were asked for; the curve of (private, public) points that the
    references lead to expect; the mean gaps of their families. ``model`` is whose peers are asked for, one of ``dots``.
    """

    dots: Sequence[Dot]
    total: int
    curve: Sequence[tuple[float, float]]
    families: Sequence[FamilyLine]
    model: str


def near(dots: Sequence[Dot], model: str) -> list[Dot]:
    """The models whose public score is within :data:`SIMILAR` of that of ``model``: itself, then the nearest first."""
    own = next(dot for dot in dots if dot.model == model)
    found = [dot for dot in dots if abs(dot.public - own.public) <= SIMILAR]
    return sorted(found, key=lambda dot: (dot is not own, abs(dot.public - own.public), dot.model))


def thinned(rows: Sequence[T]) -> Sequence[T]:
    """At most :data:`MOST_DOTS` of them, evenly spread over the order they come in, the first among them."""
    if len(rows) <= MOST_DOTS:
        return rows
    return [rows[place * len(rows) // MOST_DOTS] for place in range(MOST_DOTS)]
