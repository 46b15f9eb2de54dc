"""Changes of a run: continued, cancelled, queued again, retracted."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope, User
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.api.runs import RunOut, run_facts
from leaderboard.submissions.models import Run

router = Router(tags=["submissions"])


class ContinueIn(Strict):
    """New API key, if the one before was refused or has been erased."""

    api_key: str = Field(
        "", max_length=4000, description="Sealed to an evaluator on receipt; erased at the end."
    )


class RetractionIn(Strict):
    """Reason for a retraction: one of those that ``manage.py retract_run`` lists."""

    reason: str = Field(max_length=20)


@router.post(
    "/runs/{uuid:run_id}/continue",
    auth=Bearer(Scope.SUBMIT),
    response={
        200: RunOut,
        (400, 401, 404, 409, 422, 429, 503): Problem,
    },
    summary="Continue a failed run",
)
def continue_run(request: HttpRequest, run_id: UUID, order: ContinueIn) -> dict[str, Any]:
    """Ask the items that are left; for the run's author. No answered item is asked again."""
    user = token_user(request)
    continued = actions.continue_run(run=run_id, by=user, api_key=order.api_key)
    return run_facts(continued)


@router.post(
    "/runs/{uuid:run_id}/cancel",
    auth=Bearer(Scope.SUBMIT),
    response={200: RunOut, (401, 404, 409): Problem},
    summary="Cancel a run",
)
def cancel(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Cancel a run; for its submitter and maintainers.

    The evaluator stops before its next batch. 409 once the run has ended.
    """
    check_owner(token_user(request), run_id)
    actions.cancel(run=run_id)
    return _stored_facts(run_id)


@router.delete(
    "/runs/{uuid:run_id}/embargo",
    auth=Bearer(Scope.SUBMIT),
    response={200: RunOut, (401, 404): Problem},
    summary="Lift an embargo",
)
def lift_embargo(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """End an embargo; for the run's submitter and owners of the organisation that has its model."""
    actions.lift_embargo(run=run_id, by=token_user(request))
    return _stored_facts(run_id)


@router.post(
    "/runs/{uuid:run_id}/requeue",
    auth=Bearer(Scope.MANAGE),
    response={
        200: RunOut,
        (401, 403, 404, 409, 429): Problem,
    },
    summary="Queue a failed run again",
)
def requeue(request: HttpRequest, run_id: UUID) -> dict[str, Any]:
    """Queue a failed run again; for maintainers.

    Its outcomes are stored, only the items that are left are asked. 409 unless the run has failed.
    """
    user = token_user(request)
    check_owner(user, run_id)
    if not user.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    actions.requeue(run=run_id)
    return _stored_facts(run_id)


@router.post(
    "/runs/{uuid:run_id}/retraction",
    auth=Bearer(Scope.MANAGE),
    response={201: RunOut, (401, 403, 404, 422): Problem},
    summary="Retract a run",
)
def retract_run(request: HttpRequest, run_id: UUID, order: RetractionIn) -> Any:
    """Retract a run in public and for good; for maintainers. Doing it twice changes nothing."""
    by = token_user(request)
    run = actions.retract_run(run=run_id, reason=order.reason, by=by)
    return Status(201, _stored_facts(run.pk))


def _stored_facts(run_id: UUID) -> dict[str, Any]:
    stored = Run.objects.with_facts().get(pk=run_id)
    return run_facts(stored)


def check_owner(user: User, run_id: UUID) -> None:
    """Raise ``not_found`` unless the run is the user's own, or the user a maintainer."""
    owned = Run.objects.owned_by(user)
    if not owned.filter(pk=run_id).exists():
        raise refuse(Refusal.NOT_FOUND)
