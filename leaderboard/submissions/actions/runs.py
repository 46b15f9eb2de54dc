"""Runs through their states: requeueing and cancelling them, and the close of their cohort."""

from collections.abc import Collection
from datetime import datetime
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.contract import LeaseRefusal
from evaluator.errors import Code
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import (
    erase_key,
    fail,
    next_attempt,
    retry_or_fail,
    revoke_lease,
    try_to_send,
)
from leaderboard.submissions.actions.bounds import check_continued
from leaderboard.submissions.actions.queue import dispatch_on_commit
from leaderboard.submissions.actions.quotas import charge, refund_unshown
from leaderboard.submissions.models import QuotaEntry, Run, Upload
from leaderboard.submissions.states import RunState

REAPED_AT_ONCE = 500


def reap(*, recorded_until: datetime | None = None) -> int:
    """Requeue or fail every run whose lease or deadline is over.

    Leases are compared with the moment up to which all reports are recorded; else with now. Two
    reapers at once never take the same run. Returns how many were taken.
    """
    with transaction.atomic():
        overdue = Run.objects.overdue(recorded_until=recorded_until)
        overdue = overdue.select_for_update(of=("self",), skip_locked=True)
        runs = list(overdue.select_related("submission")[:REAPED_AT_ONCE])
        for run in runs:
            if not Run.objects.filter(pk=run.pk, deadline__lt=Now()).exists():
                retry_or_fail(run, Code.LOST)
            elif run.state == RunState.QUEUED:
                fail(run, Code.NOT_STARTED)
            else:
                fail(run, Code.DEADLINE)
    return len(runs)


def requeue(*, run: UUID) -> Run:
    """Queue a failed run again with the items that are left.

    Raises ``not_found``, ``not_now`` for a run that has not failed, and as :func:`queue_again`.
    """
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if locked.state != RunState.FAILED:
            raise refuse(Refusal.NOT_NOW)
        queue_again(locked, by_maintainer=True)
    return locked


def queue_again(run: Run, *, by_maintainer: bool) -> None:
    """Queue a failed run, which is locked, with the items that are left; charge it if refunded.

    Raises ``pair_withdrawn``, ``upload_expired`` and the bounds of ``admission.decide_bounds``.
    """
    if run.submission.upload_id:  # locked, so that it cannot be deleted before the run waits
        upload = Upload.objects.select_for_update().get(pk=run.submission.upload_id)
        if upload.state != Upload.State.COMPLETE:
            raise refuse(Refusal.UPLOAD_EXPIRED)
    check_continued(run, by_maintainer=by_maintainer)
    next_attempt(run, attempts=1, pause_seconds=0.0)
    charge(run, QuotaEntry.Reason.QUEUED_AGAIN)
    dispatch_on_commit(run)


def cancel(*, run: UUID) -> Run:
    """Cancel a run; reports of its worker are dropped from then on.

    Raises ``not_found``, and ``not_now`` where it is too late.
    """
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if not locked.is_cancellable:
            raise refuse(Refusal.NOT_NOW)
        revoke_lease(locked, LeaseRefusal.CANCELLED)
        locked.move(RunState.CANCELLED, waiting="")
        refund_unshown(locked)
        erase_key(locked)
    return locked


# --- cohorts


def graded(*, pair: SetPair) -> list[UUID]:
    """Return the runs on a pair that wait for the close of their cohort.

    Runs that the board's grader has not graded again are among them: the evaluator that stores
    their answers may never return.
    """
    runs = Run.objects.filter(submission__pair=pair, state=RunState.GRADED)
    return list(runs.values_list("pk", flat=True))


def is_due(*, pair: SetPair) -> bool:
    """Return True where the first run of the pair's open cohort has waited ``COHORT_SECONDS``."""
    if not settings.COHORT_SECONDS:
        return False
    waiting = Run.objects.waiting(older_than_seconds=settings.COHORT_SECONDS)
    return waiting.filter(submission__pair=pair).exists()


def mark_ranked(*, run_ids: Collection[UUID | str]) -> int:
    """Move the graded runs of a closed cohort to ranked. Returns how many there were."""
    graded_runs = Run.objects.filter(pk__in=run_ids, state=RunState.GRADED)
    with transaction.atomic():
        # In one order everywhere, so that two closes at once cannot wait for each other.
        runs = list(graded_runs.select_for_update().order_by("pk"))
        for run in runs:
            run.move(RunState.RANKED)
    return len(runs)


def request_rankings() -> int:
    """Request the rankings that are stale, and the closes that are due. Returns how many."""
    pairs = set(SetPair.objects.filter(stale=True).values_list("slug", flat=True))
    if settings.COHORT_SECONDS:
        due = Run.objects.waiting(
            older_than_seconds=max(settings.COHORT_SECONDS, settings.LEASE_SECONDS)
        )
        pairs |= set(due.values_list("submission__pair__slug", flat=True))
    return sum(request_ranking(pair) for pair in sorted(pairs))


def request_ranking(pair: str) -> bool:
    """Request a new ranking of a pair; where the broker is away, the housekeeping does it later."""
    return try_to_send(partial(dispatch.send_rebuild, pair))
