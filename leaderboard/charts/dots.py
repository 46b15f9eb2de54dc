"""Chart points: the figures of one model, run here or published, that charts draw."""

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
"""CSS class of each evidence level: a colour, with a weight or dashes."""


MOST_DOTS = 1000
"""Most points of a chart; more overlap and are slow to draw on a phone."""


MOST_LINES = 60
"""Most rows of a chart with one row a model."""


SIMILAR = 0.05
"""Largest difference in public score between peers."""


class Dot(NamedTuple):
    """One model. Shares are fractions, intervals 95%.

    ``word`` is the label of its evidence level, ``tone`` the CSS class of that. ``likelihood`` is per
    character of the public items, in nats; None if it is not known.
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
    """Data of a chart: models, of ``total`` that were asked for.

    ``curve`` are the (private, public) points of the references' expectation, ``families`` the mean
    gaps. ``model`` is the one whose peers are asked for; it is one of ``dots``.
    """

    dots: Sequence[Dot]
    total: int
    curve: Sequence[tuple[float, float]]
    families: Sequence[FamilyLine]
    model: str


def near(dots: Sequence[Dot], model: str) -> list[Dot]:
    """Return ``model`` and its peers in public score (:data:`SIMILAR`), the nearest first."""
    own = next(dot for dot in dots if dot.model == model)
    found = [dot for dot in dots if abs(dot.public - own.public) <= SIMILAR]
    return sorted(found, key=lambda dot: (dot is not own, abs(dot.public - own.public), dot.model))


def evenly(values: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of the values, evenly over their order, with the first and last."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(place * step)] for place in range(most)]


def thinned(rows: Sequence[T]) -> list[T]:
    """Return at most :data:`MOST_DOTS` rows, evenly over their order."""
    return evenly(rows, MOST_DOTS)
