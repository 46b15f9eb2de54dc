"""Items of a set that an endpoint's provider had been shown before a run, by the evaluators' logs.

1. Read every published log entry that shows items of the set to a party outside, in order.
2. Find for each run the items shown to its recipient before, and those that it showed first.
3. Add up outcomes on either side over whole parts of the set only (ADR 15): a part of which the
   provider had been shown some items and not the others is on neither side.

Sets of items are numbers here, bit i for item i.
"""

import base64
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import Self
from uuid import UUID

from evaluator.contract import MIN_CELL_SIZE
from evaluator.ledger.manifests import Manifest
from evaluator.policy import JAIL
from leaderboard.evidence.leaks import ExposureExtent
from leaderboard.ledger.models import Entry as LogEntry
from leaderboard.submissions.models import PublicCounts

CountsWithout = Callable[[frozenset[int]], PublicCounts | None]
"""Counts of a run's private outcomes without these items; None below the minimum cell size."""


@dataclass(frozen=True)
class Reveal:
    """Log entry that shows items. ``chained`` if no entry of its log is missing before it."""

    run: UUID | None
    recipient: str
    moment: str
    items: int
    chained: bool = True


@dataclass
class RunReveals:
    """Items that one run showed its recipient.

    - ``before``: items that other runs had shown the recipient;
    - ``earlier``: moments of those reveals with the items new at each, oldest first;
    - ``chained``: items in chained entries;
    - ``fresh``: items that were new to the recipient.
    """

    before: int = 0
    earlier: tuple[tuple[str, int], ...] = ()
    chained: int = 0
    fresh: int = 0

    def since(self, items: int) -> str:
        """Return the ISO date on which another run showed the first of ``items``; '' for none."""
        for moment, new in self.earlier:
            if new & items:
                return moment[:10]
        return ""


@dataclass
class _Recipient:
    known: int = 0
    history: list[tuple[str, int]] = field(default_factory=list)


def reveals_by_run(reveals: Iterable[Reveal]) -> dict[UUID | None, RunReveals]:
    """Return what each run showed, from all reveals of a set in order.

    Earlier attempts of a run are its own: they are not before it.
    """
    by_run: dict[UUID | None, RunReveals] = {}
    recipients: dict[str, _Recipient] = {}
    for reveal in reveals:
        recipient = recipients.setdefault(reveal.recipient, _Recipient())
        if reveal.run not in by_run:
            by_run[reveal.run] = RunReveals(recipient.known, tuple(recipient.history))
        run = by_run[reveal.run]
        new = reveal.items & ~recipient.known
        run.fresh |= new
        if reveal.chained:
            run.chained |= reveal.items
        if new:
            recipient.known |= new
            recipient.history.append((reveal.moment, new))
    return by_run


@dataclass(frozen=True)
class ContrastCounts:
    """Right answers on whole parts shown before, and on whole parts shown for the first time."""

    seen_right: int
    seen_n: int
    fresh_right: int
    fresh_n: int


@dataclass(frozen=True)
class RunExposure:
    """Prior exposure of one run, over the items that count; as in ``leaks.PriorExposure``."""

    extent: ExposureExtent
    before: int | None = None
    fresh: int | None = None
    since: str = ""
    sides: ContrastCounts | None = None
    stages: tuple[int, int] | None = None
    run: str = ""
    items: int = 0


@dataclass(frozen=True)
class StagedSides:
    """Items of one model's runs on a set that its provider was shown in stages.

    - ``runs``: those with items on a side, oldest first;
    - ``seen`` and ``fresh``: by run the items on either side;
    - ``compared``: places of the runs with enough items on both sides;
    - ``comparisons``: number of comparisons that p-values are corrected for.
    """

    runs: tuple[UUID, ...]
    seen: tuple[int, ...]
    fresh: tuple[int, ...]
    compared: tuple[int, ...]
    comparisons: int


@dataclass(frozen=True)
class ExposureHistory:
    """Reveals of all runs on a set of ``n`` items in these ``parts`` and ``stages``."""

    n: int
    parts: tuple[int, ...]
    by_run: Mapping[UUID | None, RunReveals]
    stages: tuple[int, ...] = ()
    cell: int = MIN_CELL_SIZE
    shown: tuple[tuple[str, int], ...] = ()
    """Moments of all reveals, oldest first, each with the items shown to anyone until then."""

    @classmethod
    def of_set(cls, manifest: Manifest) -> Self:
        """Read the history of a set from the published logs."""
        reveals = reveals_of(manifest)
        until: list[tuple[str, int]] = []
        items = 0
        for reveal in reveals:
            items |= reveal.items
            until.append((reveal.moment, items))
        return cls(
            n=manifest.n,
            parts=parts_of(manifest),
            by_run=reveals_by_run(reveals),
            stages=stages_of(manifest),
            cell=manifest.cell,
            shown=tuple(until),
        )

    def parts_shown(self, moment: datetime, counting: int) -> int:
        """Return the counting items of the parts that endpoints had been shown at ``moment``."""
        stamp = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        earlier = bisect_left(self.shown, stamp, key=itemgetter(0))
        shown = self.shown[earlier - 1][1] if earlier else 0
        return whole_parts(self.parts, counting, shown & counting)

    def all_but(self, items: int) -> frozenset[int]:
        """Return the indices of the other items of the set."""
        return frozenset(index for index in range(self.n) if not items >> index & 1)

    def of_run(self, run: UUID, counting: int, counts_without: CountsWithout) -> RunExposure:
        """Return the prior exposure of a run, over the items ``counting``.

        It has no counts of both sides where one is empty or may not be published.
        """
        reveals = self.by_run.get(run, RunReveals())
        if counting & ~reveals.chained:
            return RunExposure("unknown", stages=self._stages_asked(counting))
        before = counting & reveals.before
        fresh = counting & reveals.fresh
        extent: ExposureExtent = "part"
        if fresh == counting:
            extent = "first"
        elif before == counting:
            extent = "again"
        sides = None
        seen_parts, fresh_parts = self.sides(run, counting)
        if seen_parts and fresh_parts:
            on_seen = counts_without(self.all_but(seen_parts))
            on_fresh = counts_without(self.all_but(fresh_parts))
            if on_seen is not None and on_fresh is not None:
                sides = ContrastCounts(
                    seen_right=on_seen.right,
                    seen_n=on_seen.n,
                    fresh_right=on_fresh.right,
                    fresh_n=on_fresh.n,
                )
        return RunExposure(
            extent=extent,
            before=before.bit_count(),
            fresh=fresh.bit_count(),
            since=reveals.since(before),
            sides=sides,
            stages=self._stages_asked(counting),
        )

    def sides(self, run: UUID, counting: int) -> tuple[int, int]:
        """Return the items of whole parts shown to a run's provider before, and first by the run.

        Both are 0 where the logs do not state of each item when this run showed it.
        """
        reveals = self.by_run.get(run, RunReveals())
        if counting & ~reveals.chained:
            return 0, 0
        before = whole_parts(self.parts, counting, counting & reveals.before)
        fresh = whole_parts(self.parts, counting, counting & reveals.fresh)
        return before, fresh

    def of_runs(self, runs: Iterable[tuple[UUID, int]]) -> StagedSides | None:
        """Return the sides of the runs of one model, each over its items that count.

        ``runs`` are oldest first, and end here with the last that is compared. None where no run
        is, and for a set without stages.
        """
        if not self.stages:
            return None
        with_a_side: list[UUID] = []
        seen_items: list[int] = []
        fresh_items: list[int] = []
        compared: list[int] = []
        first_fresh = 0
        for run, counting in runs:
            seen, fresh = self.sides(run, counting)
            if min(seen.bit_count(), fresh.bit_count()) >= self.cell:
                if not compared:
                    first_fresh = fresh
                compared.append(len(with_a_side))
            if seen or fresh:
                with_a_side.append(run)
                seen_items.append(seen)
                fresh_items.append(fresh)
        if not compared:
            return None
        # Each further comparison of a model has fresh items of a later stage. So there are at most
        # as many as stages from the first one that holds fresh items of the first comparison.
        comparisons = 1
        for number, stage in enumerate(self.stages):
            if stage & first_fresh:
                comparisons = len(self.stages) - number
                break
        end = compared[-1] + 1
        return StagedSides(
            runs=tuple(with_a_side[:end]),
            seen=tuple(seen_items[:end]),
            fresh=tuple(fresh_items[:end]),
            compared=tuple(compared),
            comparisons=max(comparisons, len(compared)),
        )

    def _stages_asked(self, counting: int) -> tuple[int, int] | None:
        if not self.stages:
            return None
        asked = sum(bool(stage & counting) for stage in self.stages)
        return asked, len(self.stages)


def parts_of(manifest: Manifest) -> tuple[int, ...]:
    """Return the parts of a set, each as its items."""
    parts = []
    for blocks in manifest.parts():
        items = 0
        for block in blocks:
            first_items = (1 << block.n) - 1
            items += first_items << block.start
        parts.append(items)
    return tuple(parts)


def stages_of(manifest: Manifest) -> tuple[int, ...]:
    """Return the stages of a set, each as its items."""
    stages = []
    for stage in manifest.stages:
        items = sum(1 << index for index in manifest.indices(stage))
        stages.append(items)
    return tuple(stages)


def whole_parts(parts: Iterable[int], counting: int, side: int) -> int:
    """Return the counting items of those parts whose counting items are all in ``side``."""
    whole = 0
    for part in parts:
        counted = part & counting
        if not counted & ~side:
            whole += counted
    return whole


def reveals_of(manifest: Manifest) -> list[Reveal]:
    """Return every log entry that shows items of the set to a party outside, in order.

    Entries of one log are ordered by index, those of several logs by moment. Entries that
    contradict their log are included: their items were shown.
    """
    entries = LogEntry.objects.filter(
        kind="exposure",
        set_name=manifest.name,
        line__root=manifest.root,
    )
    entries = entries.exclude(recipient=JAIL).order_by("evaluator", "index", "pk")
    fields = ("evaluator", "run", "recipient", "moment", "line__items", "status")
    dated: list[tuple[str, Reveal]] = []
    current = None
    latest = ""
    rows = entries.values_list(*fields)
    for evaluator, run, recipient, stamp, bitmap, status in rows.iterator():
        moment = stamp.removesuffix("Z")
        # The order within a log is certain, the clock of its host is not.
        latest = max(latest, moment) if evaluator == current else moment
        current = evaluator
        items = int.from_bytes(base64.b64decode(bitmap), "little")
        chained = status == LogEntry.Status.CHAINED
        reveal = Reveal(run, recipient, moment, items, chained)
        dated.append((latest, reveal))
    dated.sort(key=lambda pair: pair[0])
    return [reveal for _, reveal in dated]
