"""Rows of a board: what pages, API and exports read of one model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from evaluator import policy
from evaluator.contract import OutcomeCounts, Tier, Wire
from leaderboard.evidence.leaks import LeakContrast, PriorExposure
from leaderboard.evidence.models import Access, AdaptivePart, Judged
from leaderboard.evidence.summaries import LaterTries, Likelihoods, ReplacedRun
from leaderboard.evidence.vocabulary import Evidence
from leaderboard.submissions.ladder import EXACT_TIERS, step_of

Why = Literal[
    "waiting",
    "running",
    "graded",
    "embargo",
    "incomplete",
    "retracted",
    "retired",
    "regraded",
    "post_release",
]


WHY: Mapping[Why, str] = {
    "waiting": "waiting",
    "running": "being asked",
    "graded": "graded, to be published when its cohort is closed",
    "embargo": "decided, under embargo",
    "incomplete": "could not be finished yet",
    "retracted": "retracted by the maintainers",
    "retired": "every item it was asked has been retired",
    "regraded": "not yet graded again by the grader of this board",
    "post_release": "post-release: these weights were not committed to before the set was released",
}
"""Text for each reason why a model has no rank."""


class PassAtK(Wire, frozen=True, kw_only=True):
    """Share of items of which one of ``k`` answers is right, unbiased, and its 95% interval."""

    k: int
    value: float
    interval: tuple[float, float]


class Score(OutcomeCounts, frozen=True, kw_only=True):
    """Counts of one model on one set, and its accuracy as a fraction.

    ``n`` is every assigned item; ``interval`` is Wilson's, 95%, and under 100 items Clopper and
    Pearson's. Where the score is a mean over ``samples`` answers to each item, ``samples_right`` of
    all of them are right, ``standard_error`` is by item means, ``pass_at`` is what more tries give,
    and the counts by outcome are of the majority answers.
    """

    accuracy: float
    interval: tuple[float, float]
    samples: int = 1
    samples_right: int | None = None
    standard_error: float | None = None
    pass_at: tuple[PassAtK, ...] = ()

    @property
    def fraction(self) -> str:
        """Right answers of all, such as "231/400"; of a mean, of all samples."""
        if self.samples_right is None:
            return f"{self.right}/{self.n}"
        return f"{self.samples_right}/{self.samples * self.n}"


class GraderScore(Wire, frozen=True, kw_only=True):
    """Counts of one grader on both sets. ``gap`` is between its own two accuracies,
    public less private."""

    grader: str
    public_right: int
    public_n: int
    private_right: int
    private_n: int
    gap: float

    @property
    def cell(self) -> str:
        """Counts on both sets as text; a column for each grader would come and go."""
        public = f"{self.public_right}/{self.public_n}"
        private = f"{self.private_right}/{self.private_n}"
        return f"{self.grader}: public {public}, private {private}"


class Row(Wire, frozen=True, kw_only=True):
    """One ranked model. ``gap`` is public less private accuracy as a fraction, ``interval`` its
    Newcombe 95%.

    ``worst`` are the gaps between which the answers that were cut off could move it. ``evidence``
    is that of ``judged``, and "pending" until the run's cohort is closed. ``holm`` and
    ``benjamini_hochberg`` are its p-value after each correction over the tested rows of this
    ranking; no level depends on them. ``family`` is its
    lineage, empty where none is known. All is by one ``grader``; ``graders`` are side by side, as
    far as they are known. ``tier`` says which blocks of the private set it was asked, ``version``
    how many notices there were. ``within`` bounds the distance of a private score in steps from the
    exact one, in items. With ``adaptive`` the accuracy of ``private`` and its interval are linked
    from the items asked to all of them; its counts are of those that were asked. An endpoint has
    neither ``likelihood`` nor ``leak``, weights have no ``prior_exposure``. ``verified`` is that of
    its organisation when the row is read (``models.mark_verified``); no snapshot knows it.
    ``trained_on_public``: its author states that it was trained on the public set.
    ``tokens`` are the mean number for a public item, read and written, by all parts and samples.
    ``run`` is the model's first official run; ``tries`` are all its complete ones. ``later`` are
    the decided ones after it, ``replaced`` had the row before it, and ``lineage_runs`` are the
    decided runs of its organisation's other models of its lineage within 90 days of it.
    """

    model: str
    organisation: str
    access: Access
    run: str
    rank: int
    rank_range: tuple[int, int]
    public_rank: int
    private: Score
    public: Score
    gap: float
    interval: tuple[float, float]
    worst: tuple[float, float]
    smallest_visible_gap: float
    evidence: Evidence
    judged: Judged | None = None
    holm: float | None = None
    benjamini_hochberg: float | None = None
    family: str = ""
    parameters: int | None = None
    tokens: float | None = None
    open_weights: bool = False
    protocol: str = ""
    grader: str = ""
    tries: int = 1
    ended: str = ""
    tier: Tier = "T0"
    version: int = 0
    likelihood: Likelihoods | None = None
    graders: tuple[GraderScore, ...] = ()
    leak: LeakContrast | None = None
    prior_exposure: PriorExposure | None = None
    within: int = 0
    adaptive: AdaptivePart | None = None
    verified: bool = False
    trained_on_public: bool = False
    later: LaterTries | None = None
    replaced: ReplacedRun | None = None
    lineage_runs: int = 0

    def runs_of_model(self) -> dict[str, Any]:
        """Return the ranked run and the model's other runs on the pair as JSON data."""
        return {
            "run": self.run,
            "complete": self.tries,
            "later": self.later and self.later.to_dict(),
            "replaced": self.replaced and self.replaced.to_dict(),
            "lineage_runs": self.lineage_runs,
        }

    @property
    def item_selection(self) -> str:
        """Return the items that the private score is over, in words."""
        stages = self.prior_exposure.stages if self.prior_exposure else None
        asked = policy.ITEM_SELECTIONS[self.tier]
        if stages and self.tier == policy.STAGED_TIER:
            asked += f", {stages[0]} of {stages[1]} stages"
        if self.version:
            asked += f", version {self.version}"
        return asked

    @property
    def step(self) -> int:
        """Return the items between the steps of the private score; 0 if it is exact."""
        return 0 if self.tier in EXACT_TIERS else step_of(self.private.n)

    @property
    def owner(self) -> str:
        """Return its organisation, marked if that is unverified."""
        return self.organisation + ("" if self.verified else " (unverified)")

    @property
    def search_text(self) -> str:
        """Text that a search looks at, in lower case."""
        return f"{self.model} {self.organisation} {self.family}".lower()


class Unranked(Wire, frozen=True, kw_only=True):
    """Model without a complete run. It has no score, which is not a score of 0."""

    model: str
    organisation: str
    access: Access
    why: Why
    verified: bool = False

    @property
    def reason(self) -> str:
        """Return the reason why there is no score, in words."""
        return WHY[self.why]


class EmbargoNote(Wire, frozen=True, kw_only=True):
    """Result under embargo: days of its submission and of its end, and if it is decided already.

    It names no model.
    """

    submitted: date
    until: date
    decided: bool


@dataclass(frozen=True)
class NotRanked:
    """The models that were submitted to a pair and have no row in a snapshot of it.

    ``named`` are those whose newest run was ranked before; the others are not public yet, so that
    ``pending`` only counts them by reason. ``embargoes`` are those of all models.
    """

    named: tuple[Unranked, ...] = ()
    pending: Mapping[Why, int] = field(default_factory=dict)
    embargoes: tuple[EmbargoNote, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return both as JSON data."""
        return {
            "unranked": [model.to_dict() | {"reason": model.reason} for model in self.named],
            "pending": dict(self.pending),
            "embargoes": [
                {
                    "submitted": one.submitted.isoformat(),
                    "until": one.until.isoformat(),
                    "decided": one.decided,
                }
                for one in self.embargoes
            ],
        }

    def counts(self) -> list[str]:
        """Return the counts in words, such as "3 waiting"."""
        return [f"{count} {WHY[why]}" for why, count in self.pending.items()]
