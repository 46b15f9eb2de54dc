"""Counts of a run by other graders: those reported with it, and rescorings since.

A run's own outcomes stay as they are, in ``RunOutcomes``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from evaluator.contract import Outcome, OutcomeCounts
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import ItemSet
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models.outcomes import (
    COUNTED,
    UNASSIGNED,
    PackedOutcomes,
    RunOutcomes,
)
from leaderboard.submissions.models.runs import Run

COUNTS = ("right", "wrong", "no_answer", "truncated")


class CountsByGrader(models.Model):
    """Counts of another grader over the answers to a set of a run, as reported with the run.

    ``n`` is the number of answers that the evaluator stored.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="counts_by_grader")
    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="+")
    grader = models.CharField(max_length=80)
    n = models.PositiveIntegerField()
    right = models.PositiveIntegerField()
    wrong = models.PositiveIntegerField()
    no_answer = models.PositiveIntegerField()
    truncated = models.PositiveIntegerField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["run", "item_set", "grader"],
                name="counts_once_per_grader",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    n=models.F("right")
                    + models.F("wrong")
                    + models.F("no_answer")
                    + models.F("truncated")
                ),
                name="counts_of_a_grader_add_up",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.grader}"


@dataclass(frozen=True)
class OutcomeChanges:
    """Changes by a rescoring on one set: counts of each kind, over ``known`` of ``n`` answers."""

    set: str
    counts: dict[str, int]
    known: int
    n: int


class RescoringQuerySet(models.QuerySet["Rescoring"]):
    """Orders to grade stored answers again."""

    def waiting(self) -> "RescoringQuerySet":
        """Orders without a result."""
        return self.filter(state=Rescoring.State.ASKED)

    def due(self) -> "RescoringQuerySet":
        """Orders whose (next) sending is due by the database's clock."""
        due = self.waiting().filter(due__lte=Now())
        return due.order_by("due", "pk")

    def newest(self, runs: Iterable[Run], grader: str) -> "dict[Any, Rescoring]":
        """Return by run the newest order for this grader that was carried out."""
        done = self.filter(
            run__in=list(runs),
            grader=grader,
            state=Rescoring.State.DONE,
        )
        # A later order of a run replaces an earlier one.
        return {order.run_id: order for order in done.order_by("pk")}


class Rescoring(models.Model):
    """Order to the evaluator that stores a run's answers to grade them again, and its result.

    ``token`` is that of the run's last attempt. ``exposure_token`` is the next number: under it the
    exposure of the gold answers is granted and logged. ``asked_by`` is empty where the site itself
    asked. The order is sent again whenever it is ``due``, until it is answered or past its
    ``deadline``.
    """

    class State(models.TextChoices):
        """State of an order."""

        ASKED = "asked"
        DONE = "done"
        FAILED = "failed"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="rescorings")
    evaluator = models.ForeignKey(Evaluator, on_delete=models.PROTECT, related_name="+")
    grader = models.CharField(max_length=80)
    grader_digest = models.CharField(max_length=64, blank=True)
    token = models.PositiveIntegerField()
    exposure_token = models.PositiveIntegerField()
    asked_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
    )
    asked_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(
        max_length=6,
        choices=State.choices,
        default=State.ASKED,
    )
    code = models.CharField(max_length=40, blank=True)
    due = models.DateTimeField()
    deadline = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    objects = RescoringQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["run", "grader"],
                condition=models.Q(state="asked"),
                name="rescoring_asked_once",
            ),
            models.CheckConstraint(
                condition=models.Q(state="asked", code="", ended_at__isnull=True)
                | models.Q(
                    state="done",
                    code="",
                    ended_at__isnull=False,
                    grader_digest__regex="^[0-9a-f]{64}$",
                )
                | models.Q(state="failed", code__regex="^[a-z_]+$", ended_at__isnull=False),
                name="rescoring_ends_with_a_digest_or_a_code",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id} by {self.grader}"

    def changes(self) -> list[OutcomeChanges]:
        """Return what the rescoring changed, set by set."""
        rows = self.outcomes.select_related("item_set").order_by("pk").defer("packed")
        changes = []
        for row in rows:
            of_set = OutcomeChanges(
                set=row.item_set.name,
                counts=row.changed,
                known=row.counted,
                n=row.n,
            )
            changes.append(of_set)
        return changes

    def end(self, state: State, **changes: Any) -> None:
        """Store how the order ended. Only for an order whose run is locked."""
        itself = Rescoring.objects.filter(pk=self.pk)
        itself.update(state=state, ended_at=Now(), **changes)
        self.refresh_from_db()


class RescoredOutcomes(PackedOutcomes):
    """Outcomes of a rescoring on one set, packed as the run's own.

    An item is 0 where the evaluator stored no answer that counted. ``changed`` counts each kind of
    difference from the run's own outcomes, as ``{"wrong to right": 3}``.
    """

    rescoring = models.ForeignKey(Rescoring, on_delete=models.CASCADE, related_name="outcomes")
    changed: "models.JSONField[dict[str, int], dict[str, int]]" = models.JSONField(
        default=dict, blank=True
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["rescoring", "item_set"], name="rescored_once_per_set"),
            models.CheckConstraint(
                condition=models.Q(
                    size=models.Func(
                        models.F("packed"),
                        function="octet_length",
                        output_field=models.IntegerField(),
                    )
                ),
                name="rescored_one_byte_per_item",
            ),
        )

    def __str__(self) -> str:
        return f"{self.rescoring_id}: {self.item_set_id}"

    @property
    def graded_run(self) -> Run:
        """Return the run whose answers were graded again."""
        return self.rescoring.run

    @classmethod
    def of(
        cls,
        rescoring: Rescoring,
        own: RunOutcomes,
        again: Iterable[tuple[int, Outcome, Outcome]],
    ) -> "RescoredOutcomes":
        """Return the row for ``again``: (index, outcome then, outcome now); not saved.

        An item whose outcome then is not the run's own is left out: its answer did not count.
        """
        old = bytes(own.packed)
        new = bytearray(UNASSIGNED if value == UNASSIGNED else 0 for value in old)
        changed: dict[str, int] = {}
        for index, then, now in again:
            if old[index] != then:
                continue
            new[index] = now
            if then is not now:
                kind = f"{then.name.lower()} to {now.name.lower()}"
                changed[kind] = changed.get(kind, 0) + 1
        row = cls(
            rescoring=rescoring,
            item_set=own.item_set,
            packed=bytes(new),
            size=own.size,
            n=own.n,
        )
        row.changed = dict(sorted(changed.items()))
        for outcome in Outcome:
            setattr(row, outcome.name.lower(), new.count(outcome))
        return row

    def covers(self, retired: frozenset[int]) -> bool:
        """Return True where every assigned item that still counts was graded again."""
        graded = (*COUNTED, UNASSIGNED)
        return all(
            value in graded or index in retired for index, value in enumerate(bytes(self.packed))
        )


@dataclass(frozen=True)
class GraderComparison:
    """Counts of one grader on one set of a run.

    ``counts`` are None where not every one of ``n`` answers is ``known``, or none may be published.
    """

    grader: str
    set: str
    n: int
    known: int
    counts: OutcomeCounts | None


OtherCounts = CountsByGrader | RescoredOutcomes
ByGrader = dict[str, dict[int, OtherCounts]]
"""Counts of other graders, by grader and the key of the set."""


def compare_graders(
    runs: Sequence[Run],
    *,
    headline: str,
) -> dict[UUID, list[GraderComparison]]:
    """Return the counts of each grader of graded runs, by run, set by set, ``headline`` first.

    ``headline`` is the grader that the runs were graded by. A count is over the whole run or not
    shown. Counts that were reported with the run are shown only where the headline's among them
    are the run's own: otherwise they are over answers that did not count.

    Those of a self-declared endpoint on sealed items are not shown. Its operator writes the
    answers: one that two graders read differently would reveal, by the two counts, if it was right.
    """
    own: dict[UUID, list[RunOutcomes]] = {}
    reported: dict[UUID, ByGrader] = {}
    rescored: dict[UUID, ByGrader] = {}
    for run in runs:
        own[run.pk] = []
        reported[run.pk] = {}
        rescored[run.pk] = {}
    outcomes = RunOutcomes.objects.filter(run__in=runs).select_related("item_set", "run")
    for row in outcomes.order_by("pk").defer("packed"):
        own[row.run_id].append(row)
    for counts in CountsByGrader.objects.filter(run__in=runs):
        by_set = reported[counts.run_id].setdefault(counts.grader, {})
        by_set[counts.item_set_id] = counts
    done = RescoredOutcomes.objects.filter(rescoring__state=Rescoring.State.DONE)
    of_runs = done.filter(rescoring__run__in=runs).select_related("rescoring")
    for again in of_runs.order_by("pk").defer("packed"):
        order = again.rescoring
        by_set = rescored[order.run_id].setdefault(order.grader, {})
        by_set[again.item_set_id] = again
    comparisons = {}
    for run in runs:
        comparisons[run.pk] = _compare(
            own[run.pk],
            reported[run.pk],
            rescored[run.pk],
            headline=headline,
        )
    return comparisons


def _compare(
    rows: Sequence[RunOutcomes],
    reported: ByGrader,
    rescored: ByGrader,
    *,
    headline: str,
) -> list[GraderComparison]:
    """Return one run's comparisons: the headline's own counts, then those of other graders."""
    comparisons = []
    agreeing = set()
    for row in rows:
        counts = _counts(row) if row.public_counts() else None
        comparisons.append(
            GraderComparison(headline, row.item_set.name, row.n, row.counted, counts)
        )
        same = reported.get(headline, {}).get(row.item_set_id)
        if same and _counts(same) == _counts(row):
            agreeing.add(row.item_set_id)
    others_reported = reported.keys() - {headline}
    for grader in sorted(others_reported | rescored.keys()):
        by_set = rescored.get(grader, {})
        if grader != headline:
            by_set = reported.get(grader, {}) | by_set
        for row in rows:
            others = by_set.get(row.item_set_id)
            agrees = row.item_set_id in agreeing
            comparisons.append(_of_other_grader(row, grader, others, agrees=agrees))
    return comparisons


def _of_other_grader(
    row: RunOutcomes,
    grader: str,
    others: OtherCounts | None,
    *,
    agrees: bool,
) -> GraderComparison:
    """Return another grader's counts on one set, None where they may not be shown.

    ``agrees`` is True where the headline's counts that were reported are the run's own.
    """
    if others is None:
        return GraderComparison(grader, row.item_set.name, row.n, 0, None)
    if isinstance(others, RescoredOutcomes):
        known = others.counted
        comparable = True
    else:
        known = others.n
        comparable = agrees
    shown = comparable and known == row.n and row.public_counts() is not None
    counts = _counts(others) if shown else None
    return GraderComparison(grader, row.item_set.name, row.n, known, counts)


def _counts(row: OtherCounts | RunOutcomes) -> OutcomeCounts:
    """Return the counts over the items with an outcome that counts."""
    counts = {name: getattr(row, name) for name in COUNTS}
    return OutcomeCounts(n=sum(counts.values()), **counts)
