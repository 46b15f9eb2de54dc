"""Shares: how many runs of self-declared endpoints one party may have on a season's block.

Each score is one equation about the items that its endpoint was shown. As many runs as items give
every item's outcome, so a party has fewer. Names are free, so runs count together by organisation,
by host and by lineage.
"""

from collections.abc import Iterable

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from leaderboard.benchmarks.models import ItemSet
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry
from leaderboard.submissions.ladder import Party
from leaderboard.submissions.models import Run, Submission, runs_asked, sealed_selection
from leaderboard.submissions.states import RunState

OPEN_COHORT = (RunState.QUEUED, RunState.LEASED, RunState.RUNNING, RunState.GRADED)
"""States of a run whose score comes with the next close."""
_LOCKS = 0x5EA1


def check_declared(
    submission: Submission, item_set: ItemSet, blocks: Iterable[int], *, but: Run | None = None
) -> None:
    """Refuse a run of a self-declared endpoint beyond its party's share of the season's block.

    A run that was cancelled or failed counts where it was shown an item. The lock is held until the
    transaction ends, so that submissions in parallel are counted one after the other. The run
    ``but`` is not counted. Raises ``cohort_share_used`` and ``season_share_used``.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCKS, item_set.pk])
    exposures = Entry.objects.filter(run=OuterRef("pk"), kind="exposure")
    ended = Q(state__in=[RunState.FAILED, RunState.CANCELLED])
    asked = runs_asked(item_set, blocks).filter(tier="T2")
    runs = asked.filter(~ended | Exists(exposures))
    if but is not None:
        runs = runs.exclude(pk=but.pk)
    party = _counted_by(submission)
    states = []
    for run in runs.select_related("submission__model"):
        if party & _counted_by(run.submission):
            states.append(run.state)
    if len(states) >= settings.DECLARED_PER_SEASON:
        raise refuse(Refusal.SEASON_SHARE, f"{settings.DECLARED_PER_SEASON} runs for each season")
    if sum(state in OPEN_COHORT for state in states) >= settings.DECLARED_PER_COHORT:
        raise refuse(Refusal.COHORT_SHARE, f"{settings.DECLARED_PER_COHORT} for each cohort")


def check_continued(run: Run) -> None:
    """Refuse to queue a failed run again where its party's share was used meanwhile.

    A run that failed before any item was shown does not count, so that its party may have submitted
    others since. Raises as :func:`check_declared`.
    """
    if run.tier != "T2":
        return
    item_set, blocks = sealed_selection(run)
    check_declared(run.submission, item_set, blocks, but=run)


def _counted_by(submission: Submission) -> Party:
    """Return what a run is counted by: the names of its party and the lineage, where one is known.

    A lineage may be recorded later. It adds to what is counted, and changes no published score.
    """
    lineage = submission.model.lineage_id
    return submission.party() | ({("lineage", lineage)} if lineage is not None else set())
