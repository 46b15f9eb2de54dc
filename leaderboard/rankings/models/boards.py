"""A snapshot: one finished ranking, never changed, from which pages, API and exports read."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from django.db import models

from evaluator.contract import Tier, Wire
from evaluator.errors import Fault
from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings.models.analysis import FamilyLine
from leaderboard.rankings.models.cohorts import WORDS, BoardPanel, EvidenceCode, Judged
from leaderboard.submissions.models import Rescoring, Run, Submission
from leaderboard.submissions.states import RunState

READABLE = "board-"
"""How the methods are called whose rows :class:`Row` can read; others wait for the next ranking, at once after them."""
Access = Literal["weights", "endpoint"]
Why = Literal["waiting", "running", "graded", "incomplete", "retracted", "retired", "regraded", "post_release"]

ACCESS: Mapping[Submission.Kind, Access] = {
    Submission.Kind.CHECKPOINT: "weights",
    Submission.Kind.ENDPOINT: "endpoint",
}
WHY: Mapping[Why, str] = {
    "waiting": "waiting",
    "running": "being asked",
    "graded": "graded, to be published when its cohort is closed",
    "incomplete": "could not be finished yet",
    "retracted": "retracted by the maintainers",
    "retired": "every item it was asked has been retired",
    "regraded": "not yet graded again by the grader of this board",
    "post_release": "post-release: nobody had committed to these weights before the set was released",
}
"""What a reader sees for each reason why a model has no rank."""


class Score(Wire, frozen=True, kw_only=True):
    """One model on one set. ``n`` is every assigned item; shares are fractions; ``interval`` is Wilson's, 95%,
    and under 100 items Clopper and Pearson's."""

    right: int
    n: int
    accuracy: float
    interval: tuple[float, float]
    wrong: int
    no_answer: int
    truncated: int


class Likely(Wire, frozen=True, kw_only=True):
    """How likely weights find the texts of a set: the mean log-likelihood per character over ``n`` items, in nats."""

    per_character: float
    standard_error: float | None
    n: int


class Likelihoods(Wire, frozen=True, kw_only=True):
    """Both sets of a pair, read by one ``definition``. Items that were retired since count here all the same."""

    definition: str
    public: Likely
    private: Likely


class GraderScore(Wire, frozen=True, kw_only=True):
    """What one grader makes of a model on both sets. ``gap`` is between its own two accuracies, public less private."""

    grader: str
    public_right: int
    public_n: int
    private_right: int
    private_n: int
    gap: float


class LeakContrast(Wire, frozen=True, kw_only=True):
    """Weights on blocks that endpoints may be shown less on blocks that never left, as fractions.

    ``interval`` is Miettinen and Nurminen's 95%, ``p`` one-sided and of this model alone; ``visible`` the smallest leak
    that would have been found four times in five, None where none would. No word of evidence depends on it.
    """

    exposed_right: int
    exposed_n: int
    local_right: int
    local_n: int
    difference: float
    interval: tuple[float, float]
    p: float
    visible: float | None


class Row(Wire, frozen=True, kw_only=True):
    """One ranked model. ``gap`` is public less private accuracy as a fraction, ``interval`` its Newcombe 95%.

    ``worst`` are the gaps between which the answers that were cut off could move it. ``evidence`` is the word of
    ``judged``, and "pending" until the run's cohort is closed. ``family`` is its lineage, empty where none is known.
    All is by one ``grader``; ``graders`` are side by side, as far as they are known. ``tier`` says which blocks of the
    private set it was asked, ``version`` how many notices there were. An endpoint has neither ``likelihood`` nor
    ``leak``.
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
    evidence: EvidenceCode
    judged: Judged | None = None
    family: str = ""
    parameters: int | None = None
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

    @property
    def form(self) -> str:
        """Which part of the private set the score is over, in plain words."""
        form = {"T0": "exposed and local blocks", "T1": "exposed blocks", "T2": "the season's block", "T3": "none"}
        return form[self.tier] + (f", version {self.version}" if self.version else "")

    @property
    def word(self) -> str:
        """The evidence in plain words."""
        return WORDS[self.evidence]


class Unranked(Wire, frozen=True, kw_only=True):
    """A model without a complete run. It has no score, which is not the same as a score of nothing."""

    model: str
    organisation: str
    access: Access
    why: Why

    @property
    def word(self) -> str:
        """Why there is no score, in plain words."""
        return WHY[self.why]


def unranked(pair: SetPair, ranking: Iterable[Row]) -> tuple[Unranked, ...]:
    """The models that were submitted to ``pair`` and are not in ``ranking``, by name.

    Read when it is asked for, not kept in a snapshot, so that nobody is shown as waiting who no longer waits. A run
    that failed by its submitter's fault is shown to him alone.
    """
    runs = (
        Run.objects.filter(submission__pair=pair, submission__protocol="")
        .exclude(submission__model__name__in=[row.model for row in ranking])
        .select_related("submission__model__organisation")
        .order_by("submission__model__name", "-queued_at", "-pk")
        .distinct("submission__model__name")
    )
    return tuple(
        Unranked(
            model=run.submission.model.name,
            organisation=run.submission.model.organisation.name,
            access=ACCESS[Submission.Kind(run.submission.kind)],
            why=why,
        )
        for run in runs
        if (why := _why_unranked(run, pair)) is not None
    )


def _why_unranked(run: Run, pair: SetPair) -> Why | None:
    if run.retracted:
        return "retracted"
    if run.post_release:
        return "post_release"
    if run.state in (RunState.GRADED, RunState.RANKED):
        return _why_left_out(run, pair)
    if run.state == RunState.FAILED:
        return "incomplete" if run.fault == Fault.OURS else None
    return _UNDER_WAY.get(RunState(run.state))


_UNDER_WAY: Mapping[RunState, Why] = {
    RunState.QUEUED: "waiting",
    RunState.LEASED: "running",
    RunState.RUNNING: "running",
}


def _why_left_out(run: Run, pair: SetPair) -> Why | None:
    if pair.ranked_by and not Rescoring.objects.newest([run], pair.ranked_by):
        return "regraded"
    if run.state == RunState.GRADED:
        return "graded"
    return "retired" if pair.private.version else None


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    """Snapshots, newest last in order of their keys."""

    def current(self, pair: SetPair) -> "Snapshot | None":
        """The newest snapshot of ``pair``. A snapshot is written whole, so the newest is a finished one."""
        return self.filter(pair=pair, method__startswith=READABLE).order_by("-pk").first()


class Snapshot(models.Model):
    """One computed ranking of one pair, with what it was computed from.

    ``inputs_hash`` is the SHA-256 of the counts it was made of together with ``method``, so that equal inputs
    are recognised and a row can be recomputed bit for bit. ``panel`` is a :class:`BoardPanel`, ``families`` are
    :class:`FamilyLine` each.
    """

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="snapshots")
    created = models.DateTimeField(auto_now_add=True)
    inputs_hash = models.CharField(max_length=64)
    method = models.CharField(max_length=40)
    rows = models.JSONField()
    panel = models.JSONField(null=True)
    families = models.JSONField(default=list)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(inputs_hash__regex=r"^[0-9a-f]{64}$"), name="snapshot_inputs_hash_is_sha256"
            ),
        )
        indexes = (models.Index(fields=["pair", "-id"], name="snapshot_newest_of_pair"),)

    def __str__(self) -> str:
        return f"{self.pair_id} at {self.created:%Y-%m-%d %H:%M:%S}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only: a snapshot that was read by somebody is never changed under them."""
        if not self._state.adding:
            raise TypeError("a snapshot is never changed")
        super().save(*args, **kwargs)

    def ranking(self) -> tuple[Row, ...]:
        """The ranked rows, best private score first."""
        return msgspec.convert(self.rows, tuple[Row, ...])

    def facts(self) -> BoardPanel | None:
        """Whom the newest closed cohort was compared with; None before the first close."""
        return msgspec.convert(self.panel, BoardPanel | None)

    def pooled(self) -> tuple[FamilyLine, ...]:
        """The mean gap of each lineage, the largest first."""
        return msgspec.convert(self.families, tuple[FamilyLine, ...])
