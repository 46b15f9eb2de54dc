"""Parts of a site's answers that the commands read. Other fields may come and go."""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from evaluator.cli.failures import TRY_LATER, CommandFailed

T = TypeVar("T")


class Account(msgspec.Struct, frozen=True):
    """Holder of a token, and what the token may do."""

    username: str
    scope: str
    expires: str | None
    organisations: list[str]


class Submitted(msgspec.Struct, frozen=True):
    """Submission that was taken."""

    run: str
    commit: str = ""


class PracticePair(msgspec.Struct, frozen=True):
    """Pair of two public sets, by its short name."""

    pair: str


class Practice(msgspec.Struct, frozen=True):
    """Practice pairs of a site, newest first."""

    pairs: list[PracticePair]


class Practised(msgspec.Struct, frozen=True):
    """Gap of a practice run with its interval, as fractions."""

    gap: float
    low: float
    high: float


class Problem(msgspec.Struct, frozen=True):
    """Reason with its code and the next step."""

    code: str
    message: str
    advice: str


class Counts(msgspec.Struct, frozen=True):
    """Counts of a run on one set."""

    set: str
    n: int
    right: int
    step: int = 0


class SameWeights(msgspec.Struct, frozen=True):
    """Earlier run of the same weights."""

    run: str
    model: str


class Waiting(msgspec.Struct, frozen=True):
    """Place in the queue."""

    position: int


class Expected(msgspec.Struct, frozen=True):
    """Expected begin of a run; None once it has begun."""

    start: datetime | None


class RunFacts(msgspec.Struct, frozen=True):
    """Run with its progress, and its result once it has one."""

    id: str
    state: str
    final: bool
    phase: str
    percent: int
    pair: str
    model: str
    failure: Problem | None
    held_up: Problem | None = None
    waiting: Waiting | None = None
    expected: Expected | None = None
    same_as: SameWeights | None = None
    sets: list[Counts] = []
    practised: Practised | None = None

    @property
    def expected_start(self) -> datetime | None:
        """Expected begin of a waiting run, if it is known."""
        if self.waiting is None or self.expected is None:
            return None
        return self.expected.start


class NextStep(msgspec.Struct, frozen=True):
    """Next step of a run, or of its author."""

    sentence: str


class OwnRun(msgspec.Struct, frozen=True):
    """Run of a person's own. ``code`` is that of a failure, or empty."""

    run: str
    pair: str
    model: str
    state: str
    percent: int
    code: str
    next: NextStep


class Pool(msgspec.Struct, frozen=True):
    """Pool of evaluators."""

    name: str
    sentence: str
    waiting: int
    running: int


class SiteStatus(msgspec.Struct, frozen=True):
    """Status of a site's evaluators."""

    ok: bool
    pools: list[Pool]


class Score(msgspec.Struct, frozen=True):
    """Score of a row on one set; ``accuracy`` is a fraction, of all samples where there are
    several."""

    right: int
    n: int
    accuracy: float
    samples: int = 1
    samples_right: int | None = None

    @property
    def fraction(self) -> str:
        """Return right answers of all, such as "231/400"."""
        if self.samples_right is None:
            return f"{self.right}/{self.n}"
        return f"{self.samples_right}/{self.samples * self.n}"


class BoardRow(msgspec.Struct, frozen=True):
    """Row of a board. ``gap`` and ``interval`` are fractions."""

    model: str
    rank_range: tuple[int, int]
    private: Score
    public: Score
    gap: float
    interval: tuple[float, float]
    evidence_label: str


class NotRanked(msgspec.Struct, frozen=True):
    """Model without a rank, and why."""

    model: str
    reason: str


class BoardTable(msgspec.Struct, frozen=True):
    """Ranking of one pair."""

    pair: str
    rows: list[BoardRow]
    unranked: list[NotRanked] = []
    pending: dict[str, int] = {}


class ComparedSet(msgspec.Struct, frozen=True):
    """First model less the second on one set.

    Of a sealed set ``wins``, ``losses`` and ``p`` are None, and ``p_at_most`` is a bound of p.
    """

    n: int
    difference: float
    interval: tuple[float, float]
    wins: int | None = None
    losses: int | None = None
    p: float | None = None
    p_at_most: float | None = None

    @property
    def p_value(self) -> str:
        """McNemar's exact p, of a sealed set as coarsely as the site publishes it."""
        if self.p is not None:
            return "< .001" if self.p < 0.001 else f"{self.p:.3f}"
        return f"≤ {self.p_at_most:g}" if self.p_at_most else "> 0.05"


class ComparedThird(msgspec.Struct, frozen=True):
    """Comparison on a third of the public items."""

    name: str
    result: ComparedSet


class ComparedGap(msgspec.Struct, frozen=True):
    """Gap of the first model less that of the second."""

    difference: float
    interval: tuple[float, float]


class ComparedRow(msgspec.Struct, frozen=True):
    """One of two compared models on its board."""

    model: str
    run: str
    gap: float
    evidence: str


class ComparedModels(msgspec.Struct, frozen=True):
    """Comparison of two ranked models."""

    first: ComparedRow
    second: ComparedRow
    public: ComparedSet | None
    private: ComparedSet | None
    not_compared: str
    gap: ComparedGap | None = None
    difficulty: list[ComparedThird] = []


def read_as(kind: type[T], data: Any) -> T:
    """Return an answer as ``kind``. Raises ``site_unreadable``."""
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as failure:
        raise unreadable(str(failure)[:200]) from None


def unreadable(detail: str = "") -> CommandFailed:
    """Return the error for an answer that is none of Holdfast's API."""
    return CommandFailed(
        "site_unreadable",
        "The site's answer is not that of Holdfast's API.",
        "Check the address: it is the one of the front page, as https://host.",
        exit_code=TRY_LATER,
        detail=detail,
    )
