"""Continuing a failed run at its author's wish: only the items that are left are asked.

The sealed API key of a run that may go on stays for ``KEY_GRACE_SECONDS`` after the failure, then
the housekeeping erases it. To continue later, or after the key was refused, the author gives a key
again.
"""

from uuid import UUID

from django.conf import settings
from django.db import transaction

from evaluator.contract.hub import is_token
from leaderboard.accounts.models import User
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.actions.runs import queue_again
from leaderboard.submissions.actions.submissions import seal_key
from leaderboard.submissions.admission import is_api_key
from leaderboard.submissions.continuation import is_continuable
from leaderboard.submissions.models import Run, Submission
from leaderboard.submissions.states import RunState


def continue_run(
    *,
    run: UUID,
    by: User,
    api_key: str = "",
) -> Run:
    """Queue a failed run again with the items left, with a new ``api_key`` if one is given.

    Raises ``not_found`` for a run of another author, ``not_now`` for one that cannot go on,
    ``continued_too_often``, ``key_needed`` where its key is erased, ``invalid_field`` for a key
    where it had none, ``bad_api_key``, ``no_evaluator``, and those of ``bounds.check_continued``
    where its submitter has submitted others since.
    """
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if not by.is_staff and locked.submission.submitted_by_id != by.pk:
            raise refuse(Refusal.NOT_FOUND)
        if locked.state != RunState.FAILED or not is_continuable(locked.code):
            raise refuse(Refusal.NOT_NOW)
        if locked.continued >= settings.MAX_CONTINUES:
            raise refuse(Refusal.CONTINUED_TOO_OFTEN)
        if api_key:
            _seal_new_key(locked.submission, api_key)
        elif locked.submission.keyed and not locked.submission.has_key:
            raise refuse(Refusal.KEY_NEEDED)
        locked.change(continued=locked.continued + 1)
        queue_again(locked, by_maintainer=by.is_staff)
    return locked


def _seal_new_key(submission: Submission, api_key: str) -> None:
    """Seal a new key. One is refused where the endpoint is asked without a submitter's key."""
    if not submission.keyed:
        raise refuse(Refusal.INVALID_FIELD, "api_key")
    if submission.is_endpoint:
        if not is_api_key(api_key):
            raise refuse(Refusal.BAD_API_KEY)
    elif not is_token(api_key):
        raise refuse(Refusal.BAD_HUB_TOKEN)
    seal_key(submission, api_key)
