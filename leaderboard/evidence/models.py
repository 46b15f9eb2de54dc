"""The word about a gap: decided once for each cohort of runs, against a panel that is frozen with it.

A cohort is the runs graded between two closes of a board. Whatever is closed later, by however many models, changes no
verdict of an earlier cohort; another method makes new verdicts beside the old ones.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import models

from evaluator.contract import Wire
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import HEX32, SetPair
from leaderboard.evidence.vocabulary import LEVELS, CohortBasis, Evidence, Levels
from leaderboard.submissions.models import Model, Run, Submission
from leaderboard.submissions.states import RunState

Access = Literal["weights", "endpoint"]


ACCESS: Mapping[Submission.Kind, Access] = {
    Submission.Kind.CHECKPOINT: "weights",
    Submission.Kind.ENDPOINT: "endpoint",
}
"""How each kind of submission is reached."""


class Adjusted(Wire, frozen=True, kw_only=True):
    """A gap less what clean models of the same private score show; fractions, the interval 95%.

    ``by`` says whether the items' outcomes were compared (method B) or the counts (method A).
    """

    gap: float
    interval: tuple[float, float]
    expected: float
    references: int
    by: Literal["items", "counts"]


class Judged(Wire, frozen=True, kw_only=True):
    """What one cohort decided about one run.

    ``p`` is one-sided, the next two are what is left of it within the cohort, None where the run was not tested.
    ``visible`` is the smallest gap that the test would have found four times in five. ``fewest`` references, if they
    were contaminated by 5 pp, would change the word: 0 where the counts alone say another one already, None where not
    even all would, or where it was not asked. ``cut`` says that more than 2% of a set's answers were cut off.
    """

    word: Evidence
    basis: CohortBasis
    p: float | None
    holm: float | None
    benjamini_hochberg: float | None
    visible: float | None
    adjusted: Adjusted | None
    cut: bool
    fewest: int | None
    levels: Levels = LEVELS
    """Thresholds that ``word`` was decided by."""
    closed: str = ""
    """When its cohort was closed, as an ISO date."""

    @property
    def said(self) -> str:
        """The word as a reader sees it."""
        return self.word.label


class PanelMember(Wire, frozen=True, kw_only=True):
    """One reference as it stood when a cohort was closed, and why it is held for clean."""

    model: str
    run: str
    why: str
    put_aside: bool


class BoardPanel(Wire, frozen=True, kw_only=True):
    """Who the newest cohort's models were compared with. ``curve`` are (private, public) points of what is expected."""

    basis: CohortBasis
    references: tuple[PanelMember, ...]
    curve: tuple[tuple[float, float], ...] = ()
    tau: float | None = None


LONGEST_REASON = 300


class Reference(models.Model):
    """A model that maintainers hold for clean on a pair, with the evidence for it in their words."""

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="references")
    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="+")
    why = models.CharField(max_length=LONGEST_REASON)
    named_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    named_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["pair", "model"], name="reference_once_per_pair"),
            models.CheckConstraint(condition=~models.Q(why=""), name="reference_has_a_reason"),
        )

    def __str__(self) -> str:
        return f"{self.model_id} on {self.pair_id}"


class WriteOnce(models.Model):
    """A row that is written once."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert only: what was decided and read stays as it was."""
        if not self._state.adding:
            raise TypeError("what was decided and read is never changed")
        super().save(*args, **kwargs)


class Cohort(WriteOnce):
    """One close of one pair's board by one method, over one grader's outcomes.

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
        """The panel that its words rest on."""
        return msgspec.convert(self.panel, BoardPanel)


class VerdictQuerySet(models.QuerySet["Verdict"]):
    """What cohorts decided about runs."""

    def of_runs(self, runs: Iterable[UUID], *, grader: str) -> dict[UUID, "Judged"]:
        """The newest method's verdict about each run that has one over the outcomes of ``grader``."""
        found = (
            self.filter(run__in=list(runs), cohort__grader=grader)
            .select_related("cohort")
            .order_by("cohort_id")
        )
        return {one.run_id: one.judged() for one in found}

    def of_model(self, name: str) -> "VerdictQuerySet":
        """All that was ever decided about a model's runs that are public, the newest first."""
        runs = self.filter(run__submission__model__name=name, run__state=RunState.RANKED)
        return runs.select_related("cohort__pair", "run").order_by("-cohort_id")


class Verdict(WriteOnce):
    """What one cohort decided about one run: a :class:`Judged`."""

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
        """The decision, dated."""
        body = self.body | {"closed": self.cohort.closed_at.date().isoformat()}
        return msgspec.convert(body, Judged)
