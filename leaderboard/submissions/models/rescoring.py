"""What other graders make of a run: counts that came with it, and answers that were graded again since.

A run's own outcomes stay as they are, in ``RunOutcomes``; whatever is here stands beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models.functions import Now

from evaluator.contract import Outcome
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import ItemSet
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models.results import COUNTED, UNASSIGNED, PackedOutcomes, RunOutcomes
from leaderboard.submissions.models.runs import Run

SIDES = ("right", "wrong", "no_answer", "truncated")
TOLD_TIERS = ("T0", "T1")
"""Of whose sealed answers two graders' counts are told. Who wrote both the answers and the server could make one answer
differ in its form only, and read from the two counts whether that one was right."""


class GraderTally(models.Model):
    """How one grader graded the answers to a set of a run as they came, over the ``n`` that its evaluator keeps."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="tallies")
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
                fields=["run", "item_set", "grader"], name="tally_once_per_grader"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    n=models.F("right")
                    + models.F("wrong")
                    + models.F("no_answer")
                    + models.F("truncated")
                ),
                name="tally_adds_up",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.grader}"


@dataclass(frozen=True)
class Changed:
    """What grading again changed on one set, for maintainers: counts of each kind, over ``known`` of ``n`` answers."""

    set: str
    counts: dict[str, int]
    known: int
    n: int


class RescoringQuerySet(models.QuerySet["Rescoring"]):
    """Orders to grade again."""

    def waiting(self) -> "RescoringQuerySet":
        """Those without an answer."""
        return self.filter(state=Rescoring.State.ASKED)

    def due(self) -> "RescoringQuerySet":
        """Those whose (next) sending is due by the database's clock."""
        return self.waiting().filter(due__lte=Now()).order_by("due", "pk")

    def newest(self, runs: Iterable[Run], grader: str) -> "dict[Any, Rescoring]":
        """By run, the newest order for this grader that was carried out."""
        done = self.filter(run__in=list(runs), grader=grader, state=Rescoring.State.DONE)
        return {one.run_id: one for one in done.order_by("pk")}


class Rescoring(models.Model):
    """An order to grade again what a run answered, to the evaluator that keeps the answers, and what came of it.

    ``token`` is that of the run's last attempt, ``look`` the next number, under which the look at the gold answers is
    granted and logged; ``asked_by`` is empty where the site itself asked. It is sent again
    whenever it is ``due``, until there is an answer or its ``deadline`` is over.
    """

    class State(models.TextChoices):
        """How an order stands."""

        ASKED = "asked"
        DONE = "done"
        FAILED = "failed"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="rescorings")
    evaluator = models.ForeignKey(Evaluator, on_delete=models.PROTECT, related_name="+")
    grader = models.CharField(max_length=80)
    grader_digest = models.CharField(max_length=64, blank=True)
    token = models.PositiveIntegerField()
    look = models.PositiveIntegerField()
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    state = models.CharField(max_length=6, choices=State.choices, default=State.ASKED)
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

    def changes(self) -> "list[Changed]":
        """What it came to, set by set."""
        rows = self.outcomes.select_related("item_set").order_by("pk").defer("packed")
        return [Changed(row.item_set.name, row.changed, row.counted, row.n) for row in rows]

    def end(self, state: State, **changes: Any) -> None:
        """Write down how it ended. Only for an order whose run is locked."""
        Rescoring.objects.filter(pk=self.pk).update(state=state, ended_at=Now(), **changes)
        self.refresh_from_db()


class RescoredOutcomes(PackedOutcomes):
    """What a rescoring came to on one set, packed as the run's own; 0 where the evaluator keeps no answer that counted.

    ``changed`` counts each kind of difference from the run's own outcomes, as ``{"wrong to right": 3}``.
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

    @classmethod
    def of(
        cls, rescoring: Rescoring, own: RunOutcomes, again: Iterable[tuple[int, Outcome, Outcome]]
    ) -> "RescoredOutcomes":
        """The row for ``again``, (index, outcome then, outcome now), not saved. What was then another outcome than the
        run's own is left out: it is of an answer that did not count."""
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
            rescoring=rescoring, item_set=own.item_set, packed=bytes(new), size=own.size, n=own.n
        )
        row.changed = dict(sorted(changed.items()))
        for outcome in Outcome:
            setattr(row, outcome.name.lower(), new.count(outcome))
        return row

    def covers(self, retired: frozenset[int]) -> bool:
        """Whether every assigned item that still counts was graded again."""
        held = (*COUNTED, UNASSIGNED)
        return all(
            value in held or index in retired for index, value in enumerate(bytes(self.packed))
        )


@dataclass(frozen=True)
class Beside:
    """One grader on one set of a run. ``counts`` are None where not every answer is ``known``, or none may be told."""

    grader: str
    set: str
    n: int
    known: int
    counts: dict[str, int] | None


def side_by_side(runs: Sequence[Run], *, headline: str) -> dict[UUID, list[Beside]]:
    """What each grader makes of graded runs, by run, set by set; the one that they were graded by first.

    A count is over the whole run or not shown. Those that came with the run count where the headline's among them are
    the run's own: else they are over answers that did not count.
    """
    own: dict[UUID, list[RunOutcomes]] = {run.pk: [] for run in runs}
    for row in (
        RunOutcomes.objects.filter(run__in=runs)
        .select_related("item_set")
        .order_by("pk")
        .defer("packed")
    ):
        own[row.run_id].append(row)
    others: dict[UUID, dict[str, dict[int, Source]]] = {run.pk: {} for run in runs}
    for tally in GraderTally.objects.filter(run__in=runs):
        others[tally.run_id].setdefault(tally.grader, {})[tally.item_set_id] = tally
    sound = {run.pk: _sound(own[run.pk], others[run.pk].pop(headline, {})) for run in runs}
    again = RescoredOutcomes.objects.filter(
        rescoring__run__in=runs, rescoring__state=Rescoring.State.DONE
    )
    for one in again.select_related("rescoring").order_by("pk").defer("packed"):
        others[one.rescoring.run_id].setdefault(one.rescoring.grader, {})[one.item_set_id] = one
    return {
        run.pk: [_of_headline(row, headline) for row in own[run.pk]]
        + [
            _of_other(run, row, grader, others[run.pk][grader].get(row.item_set_id), sound[run.pk])
            for grader in sorted(others[run.pk])
            for row in own[run.pk]
        ]
        for run in runs
    }


Source = GraderTally | RescoredOutcomes


def _sound(rows: Sequence[RunOutcomes], tallies: Mapping[int, Source]) -> frozenset[int]:
    """The sets whose counts that came with the run are over the answers that counted, as far as the headline tells."""
    told = {item_set: _counts(one) for item_set, one in tallies.items()}
    return frozenset(row.item_set_id for row in rows if told.get(row.item_set_id) == _counts(row))


def _of_headline(row: RunOutcomes, headline: str) -> Beside:
    return Beside(
        headline, row.item_set.name, row.n, row.counted, _counts(row) if row.told() else None
    )


def _of_other(
    run: Run, row: RunOutcomes, grader: str, source: Source | None, sound: frozenset[int]
) -> Beside:
    known = 0 if source is None else source.n if isinstance(source, GraderTally) else source.counted
    told = row.told() is not None and (not row.item_set.sealed or run.tier in TOLD_TIERS)
    whole = known == row.n and (isinstance(source, RescoredOutcomes) or row.item_set_id in sound)
    counts = _counts(source) if source is not None and told and whole else None
    return Beside(grader, row.item_set.name, row.n, known, counts)


def _counts(source: Source | RunOutcomes) -> dict[str, int]:
    return {side: getattr(source, side) for side in SIDES}
