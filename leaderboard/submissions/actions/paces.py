"""Paces of a pool: how long runs took lately, and how long those under way still take."""

from dataclasses import dataclass
from datetime import datetime

from django.core.cache import cache
from django.db.models import F
from django.utils import timezone

from leaderboard.submissions.fair_share import MAINTAINERS
from leaderboard.submissions.models import Run, Submission
from leaderboard.submissions.states import LIVE, RunState
from leaderboard.submissions.waiting import Measured, Pace

MEASURED_RUNS = 50
"""Newest runs of a pool whose durations count."""
PACE_SECONDS = 60
"""Time for which the durations of a pool are cached."""
OWN_PACE_PERCENT = 20
"""Progress from which a run is measured by itself rather than by others."""


@dataclass(frozen=True)
class UnderWay:
    """Run that an evaluator works on: it took ``elapsed`` seconds so far.

    ``left`` are those that it still takes, None while nothing is known about that. ``endpoint`` is
    true where an endpoint is asked.
    """

    evaluator: str
    organisation: int
    elapsed: float
    left: float | None
    practice: bool = False
    endpoint: bool = False


def pace_of(pool: str) -> Pace:
    """Return the pace of a pool: of runs that were done in one attempt, by their last grades.

    Official and practice runs are counted apart: many of one kind do not displace the others.
    """
    key = f"pace:{pool}"
    pace: Pace | None = cache.get(key)
    if pace is None:
        ended = Run.objects.filter(
            pool=pool,
            state__in=[RunState.GRADED, RunState.RANKED],
            attempts=1,
            token=1,
            continued=0,
            plan=None,
            started_at__lt=F("ended_at"),
        )
        newest_first = ended.of_authors().order_by("-ended_at")
        rows = newest_first.values_list(
            "submission__pair",
            "submission__kind",
            "total",
            "started_at",
            "ended_at",
        )
        official = rows.filter(submission__pair__practice=False)[:MEASURED_RUNS]
        practice = rows.filter(submission__pair__practice=True)[:MEASURED_RUNS]
        measured = []
        for pair, kind, total, start, end in [*official, *practice]:
            if start and end:
                seconds = (end - start).total_seconds()
                measured.append(Measured(pair, kind, seconds / total))
        pace = Pace(measured)
        cache.set(key, pace, PACE_SECONDS)
    return pace


def seconds_of_run(run: Run, pace: Pace) -> float | None:
    """Return how long the items take that are left, in the steps in which progress is published.

    None while nothing was measured.
    """
    submission = run.submission
    items = run.total - run.total * run.percent // 100
    return pace.seconds(pair=submission.pair_id, kind=submission.kind, items=items)


def seconds_left(run: Run, pace: Pace, now: datetime) -> float | None:
    """Return how long a run under way still takes: by its own pace once that says enough."""
    was_begun_again = run.attempts > 1 or run.continued
    if was_begun_again or run.percent < OWN_PACE_PERCENT or not run.started_at:
        return seconds_of_run(run, pace)
    elapsed = (now - run.started_at).total_seconds()
    return elapsed * (100 - run.percent) / run.percent


def under_way(pool: str) -> list[UnderWay]:
    """Return the runs of a pool that an evaluator has begun."""
    pace = pace_of(pool)
    now = timezone.now()
    live = Run.objects.filter(
        pool=pool,
        state__in=LIVE,
        evaluator__isnull=False,
    )
    runs = []
    for run in live.select_related("submission__pair", "evaluator"):
        elapsed = 0.0
        if run.started_at:
            elapsed = (now - run.started_at).total_seconds()
        runs.append(
            UnderWay(
                evaluator=run.evaluator.name if run.evaluator else "",
                organisation=run.organisation_id or MAINTAINERS,
                elapsed=elapsed,
                left=seconds_left(run, pace, now),
                practice=run.submission.pair.practice,
                endpoint=run.submission.kind == Submission.Kind.ENDPOINT,
            )
        )
    return runs
