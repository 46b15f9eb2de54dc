"""Expected start and end of a run that is under way, from how long runs of its pool took lately."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.cache import cache
from django.db.models import Count, F, Sum
from django.utils import timezone

from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import LIVE, RunState
from leaderboard.submissions.waiting import Measured, Pace, seconds_until_free

MEASURED_RUNS = 50
"""Newest runs of a pool whose durations count."""
PACE_SECONDS = 60
"""Time for which the durations of a pool are cached."""
OWN_PACE_PERCENT = 20
"""Progress from which a run is measured by itself rather than by others."""


@dataclass(frozen=True)
class Expected:
    """Expected moments of a run, judged by ``runs`` others; ``start`` is None once it has begun."""

    start: datetime | None
    end: datetime
    runs: int


def expected(run: Run, *, held_up: bool = False) -> Expected | None:
    """Return when a run is expected to begin and to end.

    None for a run that has ended or is held up, and while no run of its pool was measured.
    """
    pace = _pace(run.pool)
    own = _seconds(run, pace)
    if own is None or held_up:
        return None
    now = timezone.now()
    if run.state in LIVE:
        return Expected(None, now + timedelta(seconds=_seconds_left(run, own, now)), pace.count)
    if run.state != RunState.QUEUED:
        return None
    evaluators = Evaluator.objects.of_pool(run.pool).in_service().count()
    if not evaluators:
        return None
    wait = seconds_until_free(_busy(run, pace, now), evaluators=evaluators, ahead=_ahead(run, pace))
    start = now + timedelta(seconds=wait)
    return Expected(start, start + timedelta(seconds=own), pace.count)


def _pace(pool: str) -> Pace:
    """Return the pace of a pool: of runs that were done in one attempt, by their last grades."""
    key = f"pace:{pool}"
    pace: Pace | None = cache.get(key)
    if pace is None:
        ended = Run.objects.filter(
            pool=pool,
            state__in=[RunState.GRADED, RunState.RANKED],
            attempts=1,
            continued=0,
            plan=None,
            started_at__lt=F("ended_at"),
        )
        rows = ended.order_by("-ended_at").values_list(
            "submission__pair", "submission__kind", "total", "started_at", "ended_at"
        )
        pace = Pace(
            [
                Measured(pair, kind, (end - start).total_seconds() / total)
                for pair, kind, total, start, end in rows[:MEASURED_RUNS]
                if start and end
            ]
        )
        cache.set(key, pace, PACE_SECONDS)
    return pace


def _seconds(run: Run, pace: Pace) -> float | None:
    """Return how long the items take that are left, in the steps in which progress is published."""
    submission = run.submission
    items = run.total - run.total * run.percent // 100
    return pace.seconds(pair=submission.pair_id, kind=submission.kind, items=items)


def _seconds_left(run: Run, by_others: float, now: datetime) -> float:
    if run.attempts > 1 or run.continued or run.percent < OWN_PACE_PERCENT or not run.started_at:
        return by_others
    elapsed = (now - run.started_at).total_seconds()
    return elapsed * (100 - run.percent) / run.percent


def _busy(run: Run, pace: Pace, now: datetime) -> list[float]:
    live = Run.objects.filter(pool=run.pool, state__in=LIVE).select_related("submission")
    return [_seconds_left(one, _seconds(one, pace) or 0.0, now) for one in live]


def _ahead(run: Run, pace: Pace) -> float:
    """Return the seconds of all runs that were queued before."""
    before = Run.objects.filter(pool=run.pool, state=RunState.QUEUED, queued_at__lt=run.queued_at)
    groups = before.values("submission__pair", "submission__kind").annotate(
        items=Sum(F("total") - F("done")), runs=Count("pk")
    )
    return sum(
        pace.seconds(
            pair=group["submission__pair"], kind=group["submission__kind"], items=group["items"]
        )
        or 0.0
        for group in groups.order_by()
    )
