"""Runs through their states: requeueing and cancelling them, and the close of their cohort."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from evaluator.contract import LeaseRefusal
from evaluator.errors import Code
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.actions.attempts import (
    erase_key,
    fail,
    next_attempt,
    retry_or_fail,
    revoke_lease,
)
from leaderboard.submissions.actions.bounds import check_continued
from leaderboard.submissions.actions.embargoes import without_embargo
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
            late = Run.objects.filter(pk=run.pk, deadline__lt=Now())
            if not late.exists():
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

    Raises ``not_now`` for one of the watch list, ``pair_withdrawn``, ``upload_expired`` and the
    bounds of ``admission.decide_bounds``.
    """
    if run.submission.is_watched:  # a missed occasion is not asked on another day
        raise refuse(Refusal.NOT_NOW)
    check_continued(run, by_maintainer=by_maintainer)
    if run.submission.upload_id:  # locked, so that it cannot be deleted before the run waits
        upload = Upload.objects.select_for_update().get(pk=run.submission.upload_id)
        if upload.state != Upload.State.COMPLETE:
            raise refuse(Refusal.UPLOAD_EXPIRED)
    next_attempt(run, attempts=1, pause_seconds=0.0)
    charge(run, QuotaEntry.Reason.QUEUED_AGAIN)
    dispatch_on_commit()


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
    runs = Run.objects.undecided().filter(submission__pair=pair)
    return list(runs.values_list("pk", flat=True))


def mark_ranked(*, run_ids: Collection[UUID | str]) -> int:
    """Move the graded runs of a closed cohort to ranked, but for those under embargo.

    Returns how many were moved.
    """
    graded_runs = Run.objects.filter(pk__in=run_ids, state=RunState.GRADED)
    with transaction.atomic():
        # In one order everywhere, so that two closes at once cannot wait for each other.
        locked = graded_runs.select_for_update(of=("self",)).select_related("submission")
        runs = list(locked.order_by("pk"))
        in_order = sorted(runs, key=lambda run: (run.queued_at, run.pk))
        shown = without_embargo(in_order)
        for run in shown:
            run.move(RunState.RANKED)
    return len(shown)
