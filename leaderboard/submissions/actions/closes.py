"""Closes of the boards: when results that wait are published."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Min
from django.utils.timesince import timesince

from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.models import Run
from leaderboard.submissions.states import RunState

SHORTEST_WAIT = 60
"""Seconds: a cohort that is open for less is said to close a minute after its first result."""


def next_closes() -> dict[int, datetime]:
    """Return the moment at which the clock closes the open cohort, by pair.

    A pair where no result waits has none, and neither has any where only maintainers close boards.
    """
    if not settings.COHORT_SECONDS:
        return {}
    open_for = timedelta(seconds=settings.COHORT_SECONDS)
    graded = Run.objects.filter(state=RunState.GRADED, submission__pair__withdrawn_at=None)
    oldest = graded.values("submission__pair").annotate(first=Min("ended_at"))
    return {
        pair: first + open_for
        for pair, first in oldest.order_by().values_list("submission__pair", "first")
        if first
    }


def close_rule(pair: SetPair) -> str:
    """Return when waiting results of a pair are published, in words."""
    if pair.withdrawn_at:
        return "never, withdrawn"
    if settings.COHORT_SECONDS:
        return f"{_open_for()} after the next result"
    return "by the maintainers"


def _open_for() -> str:
    """Return how long a cohort stays open, in words such as "7 days"."""
    start = datetime(2000, 1, 1)
    end = start + timedelta(seconds=max(settings.COHORT_SECONDS, SHORTEST_WAIT))
    return timesince(start, end, depth=1).replace("\xa0", " ")
