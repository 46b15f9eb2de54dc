"""Chart points: the figures of one model, run here or published, that charts draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from leaderboard.charts.frontier import Size
from leaderboard.evidence.summaries import PooledGap
from leaderboard.evidence.vocabulary import Evidence

T = TypeVar("T")
LEVEL_CLASSES: Mapping[Evidence, str] = {
    Evidence.OVERFIT: "hot",
    Evidence.WATCH: "warm",
    Evidence.NO_EVIDENCE: "cool",
    Evidence.CANNOT_TELL: "open",
    Evidence.PENDING: "open",
}
"""CSS class of each evidence level: a colour, with a weight or dashes."""
MOST_POINTS = 1000
"""Most points of a chart; more overlap and are slow to draw on a phone."""
MOST_ROWS = 60
"""Most rows of a chart with one row a model."""
SIMILAR = 0.05
"""Largest difference in public score between peers."""


class ChartPoint(NamedTuple):
    """One model. Shares are fractions, intervals 95%.

    ``likelihood`` is per character of the public items, in nats; None if it is not known.
    ``pooled_gap`` is the gap that enters the mean of its family; None if none does.
    ``parameters`` and ``tokens``, of a public item, are numbers; None if one is not known.
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
    level: Evidence
    likelihood: float | None
    pooled_gap: float | None
    parameters: float | None
    tokens: float | None = None

    def size(self, size: Size) -> float | None:
        """Return the size that a score is set against; None if it is not known."""
        return self.parameters if size is Size.PARAMETERS else self.tokens

    @property
    def level_class(self) -> str:
        """Return the CSS class of the evidence level."""
        return LEVEL_CLASSES[self.level]


class FamilyMean(NamedTuple):
    """Mean gap of a family over ``members``, of which ``higher`` have a gap above zero.

    ``adjusted`` is True if it is the mean of gaps against references.
    """

    family: str
    members: int
    higher: int
    gap: PooledGap
    adjusted: bool = False


@dataclass(frozen=True)
class ChartData:
    """Data of a chart: points of models, of ``total`` that were asked for.

    ``curve`` are the (private, public) points of the references' expectation, ``families`` the mean
    gaps. ``model`` is the one whose peers are asked for; it is one of ``points``. ``frontier`` are
    the (size, private) points of efficient models, ``efficient`` says of each model of known size
    if it is one. Both are of the whole board, also where fewer models are shown. ``unsized`` counts
    the models asked for whose size is not known, ``sizes`` are those that any model has.
    """

    points: Sequence[ChartPoint]
    total: int
    curve: Sequence[tuple[float, float]]
    families: Sequence[FamilyMean]
    model: str
    frontier: Sequence[tuple[float, float]] = ()
    efficient: Mapping[str, bool] = field(default_factory=dict)
    unsized: int = 0
    sizes: Sequence[Size] = ()


def near(points: Sequence[ChartPoint], model: str) -> list[ChartPoint]:
    """Return ``model`` and its peers in public score (:data:`SIMILAR`), the nearest first."""
    own = next(point for point in points if point.model == model)

    def distance(point: ChartPoint) -> float:
        return abs(point.public - own.public)

    peers = [point for point in points if distance(point) <= SIMILAR]
    peers.sort(key=lambda point: (point is not own, distance(point), point.model))
    return peers


def evenly(values: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of the values, evenly over their order, with the first and last."""
    if len(values) <= most:
        return list(values)
    step = (len(values) - 1) / (most - 1)
    return [values[round(place * step)] for place in range(most)]


def thinned(values: Sequence[T]) -> list[T]:
    """Return at most :data:`MOST_POINTS` of the values, evenly over their order."""
    return evenly(values, MOST_POINTS)
