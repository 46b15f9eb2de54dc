"""What came of runs, and the messages about them. No column here could hold the text of an item.

What of it leaves the site goes through one gate, ``PackedOutcomes.told``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db import models
from django.db.models.functions import Now

from evaluator.contract import Outcome, SetCounts, SetLikelihood
from leaderboard.benchmarks.models import ItemSet
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models.runs import Run, RunQuerySet
from leaderboard.submissions.states import RunState

COUNTED = (Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.TRUNCATED)
"""Outcomes that close an item. One that is not counted stays open and is asked again."""
UNASSIGNED = 9
"""The byte of an item that is not in the run's form. No outcome has this value."""


@dataclass(frozen=True)
class Told:
    """What may be told of one run on one set: counts over ``n`` items, none or at least the smallest ``cell``.

    Pages, the API, evidence and rankings are made of these and see no row; ``votes``, ``read`` and ``reasons`` are
    as in :class:`RunOutcomes`. Raises ValueError for a small cell.
    """

    set: str
    sealed: bool
    cell: int
    n: int
    right: int
    wrong: int
    no_answer: int
    truncated: int
    votes: dict[str, Any] | None = None
    read: SetLikelihood | None = None
    reasons: dict[str, int] | None = None

    def __post_init__(self) -> None:
        if 0 < self.n < self.cell:
            raise ValueError("a small cell is not told")


class PackedOutcomes(models.Model):
    """Outcomes on one set: one byte an item, 0 for open, else the value of ``Outcome``, or ``UNASSIGNED``.

    ``size`` is the whole set, ``n`` the items assigned. The byte string is never shown: not on a page, in the API, a
    log or an export.
    """

    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="+")
    packed = models.BinaryField()
    size = models.PositiveIntegerField()
    n = models.PositiveIntegerField()
    right = models.PositiveIntegerField(default=0)
    wrong = models.PositiveIntegerField(default=0)
    no_answer = models.PositiveIntegerField(default=0)
    truncated = models.PositiveIntegerField(default=0)
    not_counted = models.PositiveIntegerField(default=0)

    class Meta:
        abstract = True

    @property
    def counted(self) -> int:
        """How many items have an outcome that closes them."""
        return self.right + self.wrong + self.no_answer + self.truncated

    @property
    def is_complete(self) -> bool:
        """Whether no item is open."""
        return self.counted == self.n

    def told(self, retired: frozenset[int] = frozenset()) -> Told | None:
        """The gate: the outcomes over the assigned items that still count, None where these are a small cell."""
        n, counts = (
            self.n,
            {outcome.name.lower(): getattr(self, outcome.name.lower()) for outcome in COUNTED},
        )
        if retired:
            values = (
                value for index, value in enumerate(bytes(self.packed)) if index not in retired
            )
            active = bytes(value for value in values if value != UNASSIGNED)
            n, counts = (
                len(active),
                {outcome.name.lower(): active.count(outcome) for outcome in COUNTED},
            )
        item_set = self.item_set
        try:
            return Told(
                set=item_set.name, sealed=item_set.sealed, cell=item_set.cell, n=n, **counts
            )
        except ValueError:
            return None

    def over(self, retired: frozenset[int]) -> bytes:
        """One byte for each item of the set: its outcome, 0 where it was not assigned or no longer counts."""
        packed = bytes(self.packed)
        return bytes(
            0 if value == UNASSIGNED or index in retired else value
            for index, value in enumerate(packed)
        )


class RunOutcomes(PackedOutcomes):
    """All outcomes of one run on one set, as they came.

    ``blocks`` are those of a sealed set that the run is scored on (its form), empty for the whole set; items outside
    them hold ``UNASSIGNED``. ``votes`` is the ``contract.Votes`` of several samples an item, where there is one, and
    ``likelihood`` the ``contract.SetLikelihood`` of weights. ``reasons`` count why an endpoint gave no answer, over the
    whole item selection; None where that is not known.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outcomes")
    blocks: "models.JSONField[list[int], list[int]]" = models.JSONField(default=list, blank=True)
    votes: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    likelihood: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    reasons: "models.JSONField[dict[str, int] | None, dict[str, int] | None]" = models.JSONField(
        null=True
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "item_set"], name="outcomes_once_per_set"),
            models.CheckConstraint(
                condition=models.Q(
                    size=models.Func(
                        models.F("packed"),
                        function="octet_length",
                        output_field=models.IntegerField(),
                    )
                ),
                name="outcomes_one_byte_per_item",
            ),
            models.CheckConstraint(
                condition=models.Q(n__lte=models.F("size")), name="outcomes_n_within_size"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    n__gte=models.F("right")
                    + models.F("wrong")
                    + models.F("no_answer")
                    + models.F("truncated")
                    + models.F("not_counted")
                ),
                name="outcomes_within_n",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.item_set_id}"

    def told(self, retired: frozenset[int] = frozenset()) -> Told | None:
        """The same, with what is known of the whole run only: its votes and likelihood."""
        counts = super().told(retired)
        return counts and replace(counts, votes=self.votes, read=self.read, reasons=self.reasons)

    @property
    def read(self) -> SetLikelihood | None:
        """How likely the model found the texts of the set; None of an endpoint, and where reading failed."""
        return None if self.likelihood is None else SetLikelihood.from_dict(self.likelihood)

    def closed(self) -> list[int]:
        """The indices of the items that need not be asked again."""
        return [index for index, value in enumerate(bytes(self.packed)) if value in COUNTED]

    def open(self) -> list[int]:
        """The indices of the items that are still to be asked."""
        return [
            i for i, value in enumerate(bytes(self.packed)) if value not in (*COUNTED, UNASSIGNED)
        ]

    def assigned(self) -> list[int]:
        """The indices of the items in the run's form."""
        return [index for index, value in enumerate(bytes(self.packed)) if value != UNASSIGNED]

    def assigns(self, indices: Iterable[int]) -> bool:
        """Whether each of these items is in the run's form."""
        packed = bytes(self.packed)
        return all(index < self.size and packed[index] != UNASSIGNED for index in indices)

    def merge(self, pairs: Iterable[tuple[int, Outcome]]) -> None:
        """Write outcomes down, not saved. The first that closes an item stays: none is counted twice."""
        packed = bytearray(self.packed)
        for index, outcome in pairs:
            if packed[index] not in COUNTED:
                packed[index] = outcome
        self.packed = bytes(packed)
        for outcome in Outcome:
            setattr(self, outcome.name.lower(), packed.count(outcome))

    def counts_without(self, before: frozenset[int]) -> SetCounts:
        """The outcomes of the items that were still open before the current attempt."""
        now = bytes(value for index, value in enumerate(bytes(self.packed)) if index not in before)
        counts = {outcome.name.lower(): now.count(outcome) for outcome in Outcome}
        return SetCounts(name=self.item_set.name, n=self.n, **counts)


def told_of(run: Run) -> list[Told]:
    """What of a run may be told, set by set: nothing before it is graded, and of a sealed set nothing before the close
    of its cohort, not even to its submitter: who sees a score may submit against it."""
    if run.state not in (RunState.GRADED, RunState.RANKED):
        return []
    rows = run.outcomes.select_related("item_set").order_by("pk").defer("packed")
    open_ones = (row for row in rows if run.state == RunState.RANKED or not row.item_set.sealed)
    return [told for row in open_ones if (told := row.told()) is not None]


def runs_asked(item_set: ItemSet, blocks: Iterable[int]) -> RunQuerySet:
    """Return the runs that are asked these very blocks of a sealed set, whatever came of them."""
    return Run.objects.filter(outcomes__item_set=item_set, outcomes__blocks=list(blocks)).distinct()


def sealed_form(run: Run) -> tuple[ItemSet, list[int]]:
    """Return the sealed set of a run and the blocks of it that the run is asked."""
    row = run.outcomes.select_related("item_set").defer("packed").get(item_set__sealed=True)
    return row.item_set, row.blocks


class Receipt(models.Model):
    """A report that was taken, so that it is never applied twice."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="receipts")
    token = models.PositiveIntegerField()
    worker = models.CharField(max_length=32)
    sequence = models.PositiveIntegerField()
    received = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["run", "token", "worker", "sequence"], name="receipt_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id} #{self.token}.{self.sequence}"


class OutboxQuerySet(models.QuerySet["Outbox"]):
    """Job specifications that are to reach an evaluator."""

    def queued(self) -> "OutboxQuerySet":
        """Those of the current attempt of runs that no evaluator has begun, in the order of their making."""
        return self.filter(run__state=RunState.QUEUED, run__token=models.F("token")).order_by("pk")

    def due(self) -> "OutboxQuerySet":
        """Those whose (next) dispatch is due by the database's clock."""
        return self.queued().filter(due__lte=Now())


class Outbox(models.Model):
    """One attempt's job specification, written in the transaction that made the attempt.

    It is dispatched until an evaluator has begun, with one message at a time: the database is the queue, the broker
    carries what the evaluators can take soon. ``payload`` lacks the sealed API keys, which stay in one place only.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outbox")
    token = models.PositiveIntegerField()
    payload: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    due = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "token"], name="outbox_once_per_attempt"),
        )
        indexes = (models.Index(fields=["due"], name="outbox_by_due"),)
        verbose_name_plural = "outbox"

    def __str__(self) -> str:
        return f"{self.run_id} #{self.token}"


class Decline(models.Model):
    """An evaluator's statement that it cannot do a run, with the code of what it lacks; the newest of each."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="declines")
    evaluator = models.ForeignKey(Evaluator, on_delete=models.CASCADE, related_name="declines")
    code = models.CharField(max_length=40)
    declined_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "evaluator"], name="decline_once_per_evaluator"),
            models.CheckConstraint(
                condition=models.Q(code__regex="^[a-z_]+$"), name="decline_has_a_code"
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.evaluator_id}"
