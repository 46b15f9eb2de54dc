"""Cohorts, verdicts and references.

A cohort is the runs graded between two closes of a board. Its verdicts are decided once, against a
panel that is frozen with it. A later cohort changes no earlier verdict; another method adds new
verdicts to the old ones.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import models

from evaluator.contract import Wire
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import HEX32, SetPair
from leaderboard.evidence.vocabulary import CORRECTED_LEVELS, CohortBasis, Evidence, Levels
from leaderboard.submissions.models import Model, Run, Submission
from leaderboard.submissions.states import RunState

Access = Literal["weights", "endpoint"]
Untested = Literal["", "outside_panel"]
"""Reason why a run was not compared with its references: none has a score like its own."""


ACCESS: Mapping[Submission.Kind, Access] = {
    Submission.Kind.CHECKPOINT: "weights",
    Submission.Kind.HUB: "weights",
    Submission.Kind.UPLOAD: "weights",
    Submission.Kind.ENDPOINT: "endpoint",
}
"""Access by which a submission of each kind is reached."""


class Adjusted(Wire, frozen=True, kw_only=True):
    """Public score less that expected of clean models with the same private score, as a fraction.

    The interval is 95%. ``by`` is "items" if item outcomes were compared (method B), "counts" for
    method A.
    """

    gap: float
    interval: tuple[float, float]
    expected: float
    references: int
    by: Literal["items", "counts"]


class AdaptivePart(Wire, frozen=True, kw_only=True):
    """Part of its ``planned`` sealed items that an adaptive run was asked.

    It ended at look number ``look`` of at most ``looks``.
    """

    asked: int
    planned: int
    look: int
    looks: int


class AdaptiveResult(Wire, frozen=True, kw_only=True):
    """Result of a run that was asked a part of its sealed items by a plan.

    - ``asked`` of the ``planned`` items, at look number ``look`` of ``looks``, from 1;
    - ``p``: one-sided, over all looks that were made; None where no reference has such an ability;
    - ``gap``, ``interval``, ``expected``: as in :class:`Adjusted`, at the last look;
    - ``visible``, ``visible_overfit``: as in :class:`Judged`, of the whole plan;
    - ``score``, ``score_interval``: score on all planned items, linked by the references' answers;
    - ``z``: of each look that was made.
    """

    asked: int
    planned: int
    look: int
    looks: int
    p: float | None
    gap: float
    interval: tuple[float, float]
    expected: float
    references: int
    visible: float
    visible_overfit: float
    score: float
    score_interval: tuple[float, float]
    z: tuple[float, ...]

    @property
    def part(self) -> AdaptivePart:
        """Part of the items that the run was asked."""
        return AdaptivePart(
            asked=self.asked,
            planned=self.planned,
            look=self.look,
            looks=self.looks,
        )


class FirstRun(Wire, frozen=True, kw_only=True):
    """Tested run that decided the evidence level of a model, its weights or its endpoint."""

    run: str
    evidence: Evidence


class Judged(Wire, frozen=True, kw_only=True):
    """Verdict of one cohort about one run.

    - ``evidence``: evidence level, under its stored name ``word``;
    - ``p``: one-sided p-value of this run alone; None for a run not tested;
    - ``visible``, ``visible_overfit``: smallest gaps that the test finds with the usual power at
      level ``watch`` and at level ``overfit``; before ``evidence-3`` only one, at ``single``;
    - ``fewest``: number of references that would change the level if they were contaminated by
      5 pp; 0 if the counts alone give another level; None if not even all would, or if not tried;
    - ``cut``: True if more than 2% of a set's answers were truncated;
    - ``untested``: reason why a run that has references was not compared with them;
    - ``first``: earlier run that decided the level; None for a run that was the first;
    - ``own``: level that a later try would have by its own test; None for a first run;
    - ``adaptive``: part of the items that the run was asked by a plan; None for all of them;
    - ``holm``, ``benjamini_hochberg``: p-values corrected within the cohort, by which the methods
      before ``evidence-3`` decided.
    """

    evidence: Evidence
    basis: CohortBasis
    p: float | None
    visible: float | None
    adjusted: Adjusted | None
    cut: bool
    fewest: int | None
    visible_overfit: float | None = None
    untested: Untested = ""
    first: FirstRun | None = None
    own: Evidence | None = None
    adaptive: AdaptivePart | None = None
    holm: float | None = None
    benjamini_hochberg: float | None = None
    levels: Levels = CORRECTED_LEVELS
    """Thresholds of the level; absent in the oldest bodies."""
    closed: str = ""
    """ISO date on which its cohort was closed."""
    method: str = ""
    """Method that decided it."""

    @property
    def is_corrected(self) -> bool:
        """True if the level was decided by p-values that were corrected over the cohort."""
        return self.levels.correction == "cohort"

    @property
    def gap_interval(self) -> tuple[float, float] | None:
        """95% interval of the adjusted gap; None where the raw gap was tested."""
        return self.adjusted.interval if self.basis == "panel" and self.adjusted else None


class PanelMember(Wire, frozen=True, kw_only=True):
    """Reference at the close of a cohort, with the reason why it is held for clean."""

    model: str
    run: str
    why: str
    put_aside: bool


class BoardPanel(Wire, frozen=True, kw_only=True):
    """Panel that a cohort was compared with.

    - ``curve`` has (private, expected public) points, ``tau`` is the spread of models about it;
    - ``lineages`` is the number of the references' lineages, each of which has one vote;
    - ``range`` has the lowest and the highest private score that models are compared with.
    """

    basis: CohortBasis
    references: tuple[PanelMember, ...]
    curve: tuple[tuple[float, float], ...] = ()
    tau: float | None = None
    lineages: int | None = None
    range: tuple[float, float] | None = None

    @property
    def compares(self) -> bool:
        """True if models are compared with references."""
        return self.basis == "panel"


LONGEST_REASON = 300


class Reference(models.Model):
    """Model that maintainers hold for clean on a pair, with their reason."""

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="references")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+")
    why = models.CharField(max_length=LONGEST_REASON)
    named_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
    )
    named_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["pair", "model"], name="reference_once_per_pair"),
            models.CheckConstraint(condition=~models.Q(why=""), name="reference_has_a_reason"),
        )

    def __str__(self) -> str:
        return f"{self.model_id} on {self.pair_id}"


class WriteOnce(models.Model):
    """Row that is inserted and never updated."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert the row; raises TypeError for an update."""
        if not self._state.adding:
            raise TypeError("a published verdict or ranking is never changed")
        super().save(*args, **kwargs)


class Cohort(WriteOnce):
    """Close of a pair's board by one method, over one grader's outcomes.

    ``panel`` is a :class:`BoardPanel`, frozen.
    """

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="cohorts")
    number = models.PositiveIntegerField()
    method = models.CharField(max_length=40)
    grader = models.CharField(max_length=80)
    panel = models.JSONField()
    inputs_hash = models.CharField(max_length=64)
    closed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["pair", "number", "method"], name="cohort_once_per_method"
            ),
            models.CheckConstraint(
                condition=models.Q(inputs_hash__regex=HEX32), name="cohort_inputs_hash_is_sha256"
            ),
        )
        ordering = ("pair", "number", "pk")

    def __str__(self) -> str:
        return f"{self.pair_id} cohort {self.number}, {self.method}"

    def facts(self) -> BoardPanel:
        """Return the panel that its verdicts depend on."""
        return msgspec.convert(self.panel, BoardPanel)


class VerdictQuerySet(models.QuerySet["Verdict"]):
    """Verdicts of cohorts about runs."""

    def of_runs(self, runs: Iterable[UUID], *, grader: str) -> dict[UUID, "Judged"]:
        """Return the newest method's verdict about each run, over the outcomes of ``grader``."""
        verdicts = self.filter(run__in=list(runs), cohort__grader=grader)
        verdicts = verdicts.select_related("cohort")
        newest: dict[UUID, Judged] = {}
        for verdict in verdicts.order_by("cohort_id"):
            newest[verdict.run_id] = verdict.judged()
        return newest

    def of_model(self, name: str) -> "VerdictQuerySet":
        """Return all verdicts about a model's public runs, the newest first."""
        runs = self.filter(run__submission__model__name=name, run__state=RunState.RANKED)
        return runs.select_related("cohort__pair", "run").order_by("-cohort_id")


class Verdict(WriteOnce):
    """Verdict of one cohort about one run: ``body`` is a :class:`Judged`."""

    cohort = models.ForeignKey(Cohort, on_delete=models.PROTECT, related_name="verdicts")
    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="verdicts")
    body = models.JSONField()

    objects = VerdictQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["cohort", "run"], name="verdict_once_per_cohort"),
        )

    def __str__(self) -> str:
        return f"{self.run_id} in {self.cohort_id}"

    def judged(self) -> Judged:
        """Return the verdict with the date and the method of its cohort."""
        of_cohort = {
            "closed": self.cohort.closed_at.date().isoformat(),
            "method": self.cohort.method,
        }
        return msgspec.convert(self.body | of_cohort, Judged)
