"""One run for each model: the newest for a panel, and the first official one for the board.

An official run is a complete one on a pair's own protocol whose cohort is closed. Runs of one model
are put in the order in which they were decided.

1. The first one ranks. A run that no longer counts gives its place to the next.
2. A run that was submitted within ``LATER_TRY_DAYS`` of the ranked one is a later try: it is
   counted, its score is shown, and it has no row.
3. A run that was submitted after the window takes the row, and has a window of its own.

Which run ranks follows from the runs alone, never from the time of reading.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db.models import Min, QuerySet

from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.entries import Entry, counting_runs, entries_of
from leaderboard.evidence.summaries import LaterTries, ReplacedRun
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import LATER_TRY_DAYS, RunState, ranks_until

WINDOW = timedelta(days=LATER_TRY_DAYS)


def newest(pair: SetPair) -> tuple[Entry, ...]:
    """Return the newest complete run of each model, by the time when it was queued."""
    runs = counting_runs(pair)
    return tuple(entries_of(pair, _newest_of_each_model(runs)))


def newest_of(pair: SetPair, models: Iterable[int]) -> tuple[Entry, ...]:
    """Return the newest complete run of each of these models."""
    runs = counting_runs(pair).filter(submission__model__in=list(models))
    return tuple(entries_of(pair, _newest_of_each_model(runs)))


def _newest_of_each_model(runs: QuerySet[Run]) -> QuerySet[Run]:
    newest_first = runs.order_by("submission__model", "-queued_at", "-pk")
    return newest_first.distinct("submission__model")


def published(pair: SetPair) -> tuple[Entry, ...]:
    """Return the run of each model that ranks: before its cohort is closed no score is published.

    What its provider was shown, and the test over all runs of an endpoint, are of its newest
    decided run that has them: they only grow.
    """
    # Decided runs that count: a run under embargo is decided and not ranked yet.
    decided = counting_runs(pair).filter(verdicts__isnull=False, state=RunState.RANKED)
    numbered = decided.annotate(cohort=Min("verdicts__cohort__number"))
    official = numbered.order_by("cohort", "queued_at", "pk")
    entries = {entry.run: entry for entry in entries_of(pair, official)}
    by_model: dict[int, list[DecidedRun]] = {}
    for run in official:
        entry = entries.get(str(run.pk))
        if entry is None:
            continue
        of_model = by_model.setdefault(run.submission.model_id, [])
        of_model.append(DecidedRun(entry, run.submission.created))
    siblings = _LineageRuns.of(by_model)
    rows = []
    for model, runs in by_model.items():
        ranked = ranked_of(runs)
        rows.append(siblings.counted(model, ranked))
    return tuple(rows)


@dataclass(frozen=True)
class DecidedRun:
    """Decided run of a model, and the moment when it was submitted."""

    entry: Entry
    submitted: datetime


def ranked_of(runs: Sequence[DecidedRun]) -> DecidedRun:
    """Return the run of one model that ranks, with its later tries and the run that it replaced.

    ``runs`` are all of the model, in the order in which they were decided. Pure.
    """
    ranked = runs[0]
    replaced: DecidedRun | None = None
    later: list[DecidedRun] = []
    for run in runs[1:]:
        if run.submitted >= ranks_until(ranked.submitted):
            replaced = ranked
            ranked = run
            later = []
        else:
            later.append(run)
    entry = _with_newest_exposure(ranked.entry, [run.entry for run in runs])
    if later:
        scores = [run.entry.accuracy for run in later]
        tries = LaterTries(
            count=len(scores),
            lowest=min(scores),
            highest=max(scores),
        )
        entry = replace(entry, later=tries)
    if replaced:
        before = replaced.entry
        previous = ReplacedRun(
            run=before.run,
            ended=before.ended,
            accuracy=before.accuracy,
        )
        entry = replace(entry, replaced=previous)
    return DecidedRun(entry, ranked.submitted)


def _with_newest_exposure(ranked: Entry, runs: Sequence[Entry]) -> Entry:
    """Return the ranked entry with the exposure that its model's newest run has."""
    newest_first = runs[::-1]
    exposed = next((run for run in newest_first if run.prior_exposure), None)
    exposure = exposed.prior_exposure if exposed else None
    if exposed and exposure and exposed.run != ranked.run:
        own = ranked.prior_exposure
        exposure = replace(
            exposure,
            run=exposed.run,
            items=exposed.private.n,
            stages=own.stages if own else None,
        )
    staged = next((run.staged for run in newest_first if run.staged), None)
    return replace(ranked, prior_exposure=exposure, staged=staged)


@dataclass(frozen=True)
class _LineageRuns:
    """Moments at which an organisation submitted decided runs of a lineage, in order."""

    of_lineage: Mapping[tuple[str, str], Sequence[datetime]]
    of_model: Mapping[int, Sequence[datetime]] = field(default_factory=dict)

    @classmethod
    def of(cls, by_model: Mapping[int, Sequence[DecidedRun]]) -> "_LineageRuns":
        """Sort the submissions of models whose lineage maintainers recorded."""
        of_lineage: dict[tuple[str, str], list[datetime]] = {}
        of_model: dict[int, list[datetime]] = {}
        for model, runs in by_model.items():
            moments = sorted(run.submitted for run in runs)
            of_model[model] = moments
            entry = runs[0].entry
            if entry.family:
                lineage = (entry.organisation, entry.family)
                of_lineage.setdefault(lineage, []).extend(moments)
        ordered = {key: sorted(moments) for key, moments in of_lineage.items()}
        return cls(ordered, of_model)

    def counted(self, model: int, ranked: DecidedRun) -> Entry:
        """Return the entry with the number of runs of its lineage's other models within 90 days."""
        entry = ranked.entry
        if not entry.family:
            return entry
        of_lineage = self.of_lineage[entry.organisation, entry.family]
        every = _within_window(of_lineage, ranked.submitted)
        own = _within_window(self.of_model[model], ranked.submitted)
        return replace(entry, lineage_runs=every - own)


def _within_window(moments: Sequence[datetime], about: datetime) -> int:
    """Return how many moments, which are sorted, lie at most a window from one."""
    first = bisect_left(moments, about - WINDOW)
    end = bisect_right(moments, about + WINDOW)
    return end - first
