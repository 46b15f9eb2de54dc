"""Outcomes of runs, one byte an item, and the counts of them that may be published.

A row leaves the site only through ``PackedOutcomes.public_counts``. No column could hold an item's
text.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from django.db import models

from evaluator.contract import Outcome, SetCounts, SetLikelihood
from leaderboard.benchmarks.models import ItemSet
from leaderboard.submissions.models.runs import Run, RunQuerySet
from leaderboard.submissions.states import RunState

COUNTED = (Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.TRUNCATED)
"""Outcomes that close an item. One that is not counted stays open and is asked again."""
UNASSIGNED = 9
"""The byte of an item outside the run's item selection. No outcome has this value."""


@dataclass(frozen=True)
class PublicCounts:
    """Counts of one run on one set that may be published, over ``n`` items.

    ``n`` is 0 or at least the set's minimum ``cell``: raises ValueError for a smaller one. Pages,
    the API, evidence and rankings are made of these and see no row. ``votes``, ``likelihood`` and
    ``reasons`` are as in :class:`RunOutcomes`.
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
    likelihood: SetLikelihood | None = None
    reasons: dict[str, int] | None = None

    def __post_init__(self) -> None:
        if 0 < self.n < self.cell:
            raise ValueError("below the minimum cell size")


class PackedOutcomes(models.Model):
    """Outcomes on one set: one byte an item, 0 for open, else an ``Outcome`` or ``UNASSIGNED``.

    ``size`` is the whole set, ``n`` the items assigned. The byte string is never shown: not on a
    page, in the API, a log or an export.
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
        """Number of items with an outcome that closes them."""
        return self.right + self.wrong + self.no_answer + self.truncated

    @property
    def is_complete(self) -> bool:
        """True where no item is open."""
        return self.counted == self.n

    def public_counts(self, retired: frozenset[int] = frozenset()) -> PublicCounts | None:
        """Return the counts over the assigned items that are not ``retired``.

        Returns None where these are fewer than the set's minimum cell size.
        """
        n = self.n
        counts = {_field(outcome): getattr(self, _field(outcome)) for outcome in COUNTED}
        if retired:
            active = bytes(
                value
                for index, value in enumerate(bytes(self.packed))
                if value != UNASSIGNED and index not in retired
            )
            n = len(active)
            counts = {_field(outcome): active.count(outcome) for outcome in COUNTED}
        item_set = self.item_set
        try:
            return PublicCounts(
                set=item_set.name, sealed=item_set.sealed, cell=item_set.cell, n=n, **counts
            )
        except ValueError:
            return None

    def item_outcomes(self, retired: frozenset[int]) -> bytes:
        """Return one byte for each item of the set: its outcome, 0 if unassigned or retired."""
        return bytes(
            0 if value == UNASSIGNED or index in retired else value
            for index, value in enumerate(bytes(self.packed))
        )


def _field(outcome: Outcome) -> str:
    return outcome.name.lower()


class RunOutcomes(PackedOutcomes):
    """Outcomes of one run on one set, as its evaluator reported them.

    ``blocks`` are those of a sealed set that the run is scored on (its item selection), empty for
    the whole set; items outside them hold ``UNASSIGNED``. ``votes`` is the ``contract.Votes`` of
    several samples an item, where there is one, and ``likelihood`` the ``contract.SetLikelihood``
    of weights. ``reasons`` count why an endpoint gave no answer, over the whole item selection;
    None where that is not known.
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

    @classmethod
    def unanswered(
        cls, item_set: ItemSet, *, items: frozenset[int], blocks: Iterable[int]
    ) -> "RunOutcomes":
        """Return the row of a new run on a set, not saved, with every selected item open.

        A public set is always selected whole.
        """
        size = item_set.n
        if not item_set.sealed:
            return cls(item_set=item_set, size=size, n=size, packed=bytes(size))
        packed = bytes(0 if index in items else UNASSIGNED for index in range(size))
        return cls(item_set=item_set, size=size, n=len(items), packed=packed, blocks=list(blocks))

    def public_counts(self, retired: frozenset[int] = frozenset()) -> PublicCounts | None:
        """Return the counts, with votes, likelihood and reasons of the whole run."""
        counts = super().public_counts(retired)
        if counts is None:
            return None
        likelihood = self.measured_likelihood
        return replace(counts, votes=self.votes, likelihood=likelihood, reasons=self.reasons)

    @property
    def measured_likelihood(self) -> SetLikelihood | None:
        """Likelihood of the set's texts; None for endpoints and for weights that were not read."""
        return None if self.likelihood is None else SetLikelihood.from_dict(self.likelihood)

    def closed(self) -> list[int]:
        """Return the indices of the items that need not be asked again."""
        return [index for index, value in enumerate(bytes(self.packed)) if value in COUNTED]

    def open(self) -> list[int]:
        """Return the indices of the items that are still to be asked."""
        not_open = (*COUNTED, UNASSIGNED)
        return [index for index, value in enumerate(bytes(self.packed)) if value not in not_open]

    def assigned(self) -> list[int]:
        """Return the indices of the items in the run's item selection."""
        return [index for index, value in enumerate(bytes(self.packed)) if value != UNASSIGNED]

    def assigns(self, indices: Iterable[int]) -> bool:
        """Return True where each of these items is in the run's item selection."""
        packed = bytes(self.packed)
        return all(index < self.size and packed[index] != UNASSIGNED for index in indices)

    def merge(self, pairs: Iterable[tuple[int, Outcome]]) -> None:
        """Set outcomes, not saved. The first that closes an item stays: none is counted twice."""
        packed = bytearray(self.packed)
        for index, outcome in pairs:
            if packed[index] not in COUNTED:
                packed[index] = outcome
        self.packed = bytes(packed)
        for outcome in Outcome:
            setattr(self, _field(outcome), packed.count(outcome))

    def counts_without(self, before: frozenset[int]) -> SetCounts:
        """Return the counts over the items that were open before the current attempt."""
        now = bytes(value for index, value in enumerate(bytes(self.packed)) if index not in before)
        counts = {_field(outcome): now.count(outcome) for outcome in Outcome}
        return SetCounts(name=self.item_set.name, n=self.n, **counts)


def run_counts(run: Run) -> list[PublicCounts]:
    """Return the counts of a run that may be shown, set by set; none before it is graded.

    Those of a sealed set are shown once its cohort is closed, also to its submitter: a submitter
    who saw a score earlier could adapt the next submission to it.
    """
    if not run.is_graded:
        return []
    shown = []
    for row in run.outcomes.select_related("item_set").order_by("pk").defer("packed"):
        if row.item_set.sealed and run.state != RunState.RANKED:
            continue
        counts = row.public_counts()
        if counts is not None:
            shown.append(counts)
    return shown


def runs_asked(item_set: ItemSet, blocks: Iterable[int]) -> RunQuerySet:
    """Return the runs that are asked these very blocks of a sealed set, in whatever state."""
    return Run.objects.filter(outcomes__item_set=item_set, outcomes__blocks=list(blocks)).distinct()


def sealed_selection(run: Run) -> tuple[ItemSet, list[int]]:
    """Return the sealed set of a run and the blocks of it that the run is asked."""
    row = run.outcomes.select_related("item_set").defer("packed").get(item_set__sealed=True)
    return row.item_set, row.blocks
