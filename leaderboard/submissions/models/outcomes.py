"""Outcomes of runs, one byte an item, and the counts of them that may be published.

A row leaves the site only through ``PackedOutcomes.public_counts``. No column could hold an item's
text.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from statistics import fmean, pstdev
from typing import Any
from uuid import UUID

from django.db import models
from msgspec.structs import replace

from evaluator.contract import Outcome, OutcomeCounts, SetCounts, SetLikelihood
from evaluator.grading import voting
from leaderboard.benchmarks.models import ItemSet
from leaderboard.submissions.ladder import (
    EXACT_TIERS,
    ExactScore,
    PublishedScore,
    published_scores,
    step_of,
)
from leaderboard.submissions.models.runs import Run, RunQuerySet

COUNTED = (Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.TRUNCATED)
"""Outcomes that close an item. One that is not counted stays open and is asked again."""
PLACES = 4
"""Decimals of the standard error of a mean."""
UNASSIGNED = 9
"""The byte of an item outside the run's item selection. No outcome has this value."""


def check_cell_size(n: int, cell: int) -> None:
    """Raise ValueError for a count over some items, but fewer than the minimum ``cell``."""
    if 0 < n < cell:
        raise ValueError("below the minimum cell size")


@dataclass(frozen=True)
class PassAt:
    """pass@k: the share of items of which one of ``k`` answers is right, and its standard error.

    The answers to an item are a cluster. Both are rounded, as the error of a mean is.
    """

    k: int
    value: float
    error: float

    @classmethod
    def of(
        cls,
        rights: Sequence[int],
        samples: int,
        k: int,
    ) -> "PassAt":
        """Return pass@k over items with so many right answers of ``samples`` each."""
        chances = [float(voting.pass_at(right, samples, k)) for right in rights]
        value = round(fmean(chances), PLACES)
        return cls(k, value, _error(chances))


@dataclass(frozen=True)
class SampleMean:
    """Score that is the mean over ``samples`` answers to each item, of which ``right`` are right.

    ``error`` is its standard error, with the answers to an item as a cluster. It is rounded, since
    a finer one would be a second exact number about the items. ``pass_at`` is what more than one
    try gives.
    """

    samples: int
    right: int
    error: float
    pass_at: tuple[PassAt, ...] = ()

    @classmethod
    def of(cls, rights: Sequence[int], samples: int) -> "SampleMean":
        """Return the mean over items with so many right answers each, two items or more."""
        shares = [right / samples for right in rights]
        tries = [PassAt.of(rights, samples, k) for k in voting.ladder(samples)]
        return cls(samples, sum(rights), _error(shares), tuple(tries))


def _error(values: Sequence[float]) -> float:
    """Return the rounded standard error of a mean over items; 0 for a single one."""
    freedom = max(len(values) - 1, 1)
    return round(pstdev(values) / sqrt(freedom), PLACES)


class PublicCounts(OutcomeCounts, frozen=True, kw_only=True):
    """Counts of one run on one set that may be published, over ``n`` items.

    ``n`` is 0 or at least the set's minimum ``cell``: raises ValueError for a smaller one. Pages,
    the API, evidence and rankings are made of these and see no row. ``votes``, ``candidates``,
    ``likelihood`` and ``reasons`` are as in :class:`RunOutcomes`. ``step`` is that of a score
    published in steps (:mod:`leaderboard.submissions.ladder`), which is at most ``within`` items
    from the exact one; both are 0 for an exact score. ``mean`` is the score where it is a mean over
    samples.
    """

    set: str
    sealed: bool
    cell: int
    votes: dict[str, Any] | None = None
    candidates: dict[str, Any] | None = None
    likelihood: SetLikelihood | None = None
    reasons: dict[str, int] | None = None
    step: int = 0
    within: int = 0
    mean: SampleMean | None = None

    def __post_init__(self) -> None:
        check_cell_size(self.n, self.cell)

    @property
    def by_outcome(self) -> OutcomeCounts:
        """Return the counts by outcome alone."""
        return OutcomeCounts(
            n=self.n,
            right=self.right,
            wrong=self.wrong,
            no_answer=self.no_answer,
            truncated=self.truncated,
        )

    def with_published(self, score: PublishedScore) -> "PublicCounts":
        """Return the counts with what is published of a score in steps.

        Answers that are missing or cut are counted exactly, since the endpoint knows them.
        """
        return replace(
            self,
            right=score.right,
            wrong=self.right + self.wrong - score.right,
            step=step_of(self.n),
            within=score.within,
            votes=None,
            candidates=None,
        )


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

    @property
    def graded_run(self) -> Run:
        """Return the run whose answers these are."""
        raise NotImplementedError

    @property
    def in_steps(self) -> bool:
        """True where no exact score may be published: a sealed set, a self-declared endpoint."""
        return self.item_set.sealed and self.graded_run.tier not in EXACT_TIERS

    def public_counts(
        self,
        retired: frozenset[int] = frozenset(),
        published: Mapping[UUID, PublishedScore] | None = None,
    ) -> PublicCounts | None:
        """Return the counts over the assigned items that are not ``retired``.

        Returns None where these are fewer than the set's minimum cell size. ``published`` are the
        scores in steps by run, over the same items (:func:`scores_in_steps`); without them, None is
        returned where no exact score may be published.
        """
        counts = self._exact_counts(retired)
        if counts is None or not self.in_steps:
            return counts
        score = (published or {}).get(self.graded_run.pk)
        return None if score is None else counts.with_published(score)

    def exact_score(self, retired: frozenset[int]) -> ExactScore:
        """Return the score on the items that count, as the ladder reads it. Never published."""
        outcomes = self.item_outcomes(retired)
        right = outcomes.count(Outcome.RIGHT)
        run = self.graded_run
        most = right + outcomes.count(Outcome.WRONG)
        return ExactScore(run.pk, run.submission.party(), right, most)

    def _exact_counts(self, retired: frozenset[int]) -> PublicCounts | None:
        """Return the counts of the outcomes as they are; None below the minimum cell size."""
        n = self.n
        counts = {}
        for outcome in COUNTED:
            field = _field(outcome)
            counts[field] = getattr(self, field)
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
                set=item_set.name,
                sealed=item_set.sealed,
                cell=item_set.cell,
                n=n,
                **counts,
            )
        except ValueError:
            return None

    @property
    def samples_right_of_items(self) -> bytes:
        """Return the right samples of each item, a byte each; empty for one outcome an item."""
        return b""

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
    several samples an item, where there is one, ``candidates`` the ``contract.Candidates`` of a
    system, and ``likelihood`` the ``contract.SetLikelihood``
    of weights. ``reasons`` count why an endpoint gave no answer, over the whole item selection;
    None where that is not known. Where the score is a mean over ``samples``, ``samples_right`` has
    a byte for each item, the number of its right samples; else it is None.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outcomes")
    blocks: "models.JSONField[list[int], list[int]]" = models.JSONField(default=list, blank=True)
    votes: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    candidates: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    likelihood: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    reasons: "models.JSONField[dict[str, int] | None, dict[str, int] | None]" = models.JSONField(
        null=True
    )
    samples = models.PositiveSmallIntegerField(default=1)
    samples_right = models.BinaryField(null=True)

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
                condition=models.Q(n__lte=models.F("size")),
                name="outcomes_n_within_size",
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
        cls,
        item_set: ItemSet,
        *,
        items: frozenset[int],
        blocks: Iterable[int],
        samples: int = 1,
        sample: frozenset[int] | None = None,
    ) -> "RunOutcomes":
        """Return the row of a new run on a set, not saved, with every selected item open.

        A public set is selected whole, or a ``sample`` of it. The score is a mean if there are
        several ``samples``.
        """
        size = item_set.n
        row = cls(
            item_set=item_set,
            size=size,
            n=size,
            packed=bytes(size),
            samples=samples,
        )
        if samples > 1:
            row.samples_right = bytes(size)
        if item_set.sealed:
            row.blocks = list(blocks)
        selected = items if item_set.sealed else sample
        if selected is not None:
            packed = bytearray([UNASSIGNED] * size)
            for index in range(size):
                if index in selected:
                    packed[index] = 0
            row.packed = bytes(packed)
            row.n = len(selected)
        return row

    @property
    def graded_run(self) -> Run:
        """Return the run whose outcomes these are."""
        return self.run

    def _exact_counts(self, retired: frozenset[int]) -> PublicCounts | None:
        """Return the counts with the facts of the whole run: votes, likelihood, reasons."""
        counts = super()._exact_counts(retired)
        if counts is None:
            return None
        mean = None
        if self.samples_right is not None:
            # Over samples of the items that count; None for one outcome an item.
            outcomes = self.item_outcomes(retired)
            rights = [
                right
                for right, value in zip(bytes(self.samples_right), outcomes, strict=True)
                if value in COUNTED
            ]
            mean = SampleMean.of(rights, self.samples) if rights else None
        return replace(
            counts,
            votes=self.votes,
            candidates=self.candidates,
            likelihood=self.measured_likelihood,
            reasons=self.reasons,
            mean=mean,
        )

    @property
    def samples_right_of_items(self) -> bytes:
        """Return the right samples of each item, a byte each; empty for one outcome an item."""
        return bytes(self.samples_right or b"")

    def fits_samples(self, counts: Sequence[int], items: int) -> bool:
        """Return True if a report of so many items may have these numbers of right samples."""
        if self.samples_right is None:
            return not counts
        return len(counts) == items and max(counts, default=0) <= self.samples

    @property
    def measured_likelihood(self) -> SetLikelihood | None:
        """Likelihood of the set's texts; None for endpoints and for weights that were not read."""
        if self.likelihood is None:
            return None
        return SetLikelihood.from_dict(self.likelihood)

    def closed(self) -> list[int]:
        """Return the indices of the items that need not be asked again."""
        values = enumerate(bytes(self.packed))
        return [index for index, value in values if value in COUNTED]

    def open(self) -> list[int]:
        """Return the indices of the items that are still to be asked."""
        not_open = (*COUNTED, UNASSIGNED)
        values = enumerate(bytes(self.packed))
        return [index for index, value in values if value not in not_open]

    def assigned(self) -> list[int]:
        """Return the indices of the items in the run's item selection."""
        values = enumerate(bytes(self.packed))
        return [index for index, value in values if value != UNASSIGNED]

    def assigns(self, indices: Iterable[int]) -> bool:
        """Return True where each of these items is in the run's item selection."""
        packed = bytes(self.packed)
        return all(index < self.size and packed[index] != UNASSIGNED for index in indices)

    def assign(self, items: Iterable[int]) -> None:
        """Add items to the run's item selection, not saved. Known outcomes stay."""
        packed = bytearray(self.packed)
        for index in items:
            if packed[index] == UNASSIGNED:
                packed[index] = 0
        self.packed = bytes(packed)
        self.n = self.size - packed.count(UNASSIGNED)

    def merge(
        self,
        pairs: Iterable[tuple[int, Outcome]],
        samples_right: Sequence[int] = (),
    ) -> None:
        """Set outcomes, not saved. The first that closes an item stays: none is counted twice.

        ``samples_right`` has the right samples of each item, where the score is their mean.
        """
        packed = bytearray(self.packed)
        rights = bytearray(self.samples_right or b"")
        for place, (index, outcome) in enumerate(pairs):
            if packed[index] in COUNTED:
                continue
            packed[index] = outcome
            if rights:
                rights[index] = samples_right[place]
        self.packed = bytes(packed)
        if rights:
            self.samples_right = bytes(rights)
        for outcome in Outcome:
            setattr(self, _field(outcome), packed.count(outcome))

    def counts_without(self, before: frozenset[int]) -> SetCounts:
        """Return the counts over the items that were open before the current attempt."""
        now = bytearray()
        for index, value in enumerate(bytes(self.packed)):
            if index not in before:
                now.append(value)
        counts = {_field(outcome): now.count(outcome) for outcome in Outcome}
        return SetCounts(name=self.item_set.name, n=self.n, **counts)


def scores_in_steps(
    rows: Iterable[PackedOutcomes], retired: frozenset[int] = frozenset()
) -> dict[UUID, PublishedScore]:
    """Return the published scores of runs of self-declared endpoints, by run.

    ``rows`` are the complete outcomes of all such runs on a pair's sealed set by one grader, each
    with its run, submission and model. Scores over other items have a ladder of their own.
    """
    ladders: dict[bytes, list[PackedOutcomes]] = {}
    for row in sorted(rows, key=_grading_order):
        items = bytes(map(bool, row.item_outcomes(retired)))
        ladders.setdefault(items, []).append(row)
    published: dict[UUID, PublishedScore] = {}
    for items, ladder in ladders.items():
        scores = [row.exact_score(retired) for row in ladder]
        published |= published_scores(scores, sum(items))
    return published


def _grading_order(row: PackedOutcomes) -> tuple[datetime, UUID]:
    run = row.graded_run
    if run.ended_at is None:
        raise ValueError("a score of a run that has not ended")
    return run.ended_at, run.pk


def public_outcomes(run: Run) -> bytes:
    """Return the outcomes of a run on its pair's public set, a byte an item; 0 if not asked."""
    public = run.submission.pair.public
    if public.sealed:
        raise ValueError("outcomes on a sealed set are not read one by one")
    return run.outcomes.get(item_set=public).item_outcomes(frozenset())


def runs_asked(item_set: ItemSet, blocks: Iterable[int]) -> RunQuerySet:
    """Return the runs that are asked these very blocks of a sealed set, in whatever state."""
    runs = Run.objects.filter(
        outcomes__item_set=item_set,
        outcomes__blocks=list(blocks),
    )
    return runs.distinct()


def blocks_asked(item_set: ItemSet, runs: RunQuerySet) -> list[list[int]]:
    """Return the blocks of a sealed set that each of these runs is asked."""
    rows = RunOutcomes.objects.filter(item_set=item_set, run__in=runs)
    return list(rows.values_list("blocks", flat=True))


def sealed_selection(run: Run) -> tuple[ItemSet, list[int]]:
    """Return the sealed set of a run and the blocks of it that the run is asked."""
    rows = run.outcomes.select_related("item_set").defer("packed")
    row = rows.get(item_set__sealed=True)
    return row.item_set, row.blocks
