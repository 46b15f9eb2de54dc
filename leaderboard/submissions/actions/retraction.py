"""Retracting a run that turned out wrong: in public, by a maintainer, for a reason of a list."""

from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.models import Run


def retract_run(*, run: UUID, reason: str, by: User) -> Run:
    """Exclude a run from the board and from its set's release, for good; its outcomes stay stored.

    A run that was retracted before keeps its first reason. Raises ``forbidden``, ``invalid_field``
    for a reason outside ``Run.Retraction``, ``not_found``, and ``not_now`` for a practice run.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if reason not in Run.Retraction:
        raise refuse(Refusal.INVALID_FIELD, "reason")
    with transaction.atomic():
        # The pair before the run, as a ranking locks them.
        SetPair.objects.filter(submissions__runs=run).update(stale=True)
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if locked.submission.pair.practice:
            raise refuse(Refusal.NOT_NOW)
        if not locked.retracted:
            locked.change(retracted_at=Now(), retracted_by=by, retracted_why=reason)
    return locked
