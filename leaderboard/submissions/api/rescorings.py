"""Rescorings: orders to grade a run's stored answers again, for maintainers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user, viewer
from leaderboard.accounts.models import Scope
from leaderboard.errors import Refusal, explain_code, refuse
from leaderboard.submissions import actions
from leaderboard.submissions.models import Rescoring
from leaderboard.submissions.states import RunState

router = Router(tags=["submissions"])


class GradeAgain(Strict):
    """Id of a published grader."""

    grader: str = Field(max_length=80)


class RescoringOut(Schema):
    """Order to grade a run again: ``asked``, ``done`` or ``failed``.

    ``changed`` counts each kind of difference, once the run's cohort is closed.
    """

    id: int
    run: UUID
    grader: str
    state: str
    asked_at: datetime
    ended_at: datetime | None
    failure: Problem | None
    changed: dict[str, dict[str, int]]


@router.post(
    "/runs/{uuid:run_id}/rescorings",
    auth=Bearer(Scope.MANAGE),
    response={
        201: RescoringOut,
        (401, 403, 404, 409, 422): Problem,
    },
    summary="Have a run graded again",
)
def grade_again(request: HttpRequest, run_id: UUID, order: GradeAgain) -> Any:
    """Ask the evaluator that stores the answers to grade them again; no model is asked.

    An order that is still waiting is not made twice.
    """
    by = token_user(request)
    rescoring = actions.ask_again(run=run_id, grader=order.grader, by=by)
    return Status(201, _rescoring(rescoring))


@router.get(
    "/runs/{uuid:run_id}/rescorings",
    auth=None,
    response={200: list[RescoringOut], 404: Problem},
    summary="How a run was graded again",
)
def rescorings(request: HttpRequest, run_id: UUID) -> list[dict[str, Any]]:
    """Return the orders, newest first, to maintainers by token or session; 404 to others."""
    user = viewer(request)
    if user is None or not user.is_staff:
        raise refuse(Refusal.NOT_FOUND)
    orders = Rescoring.objects.filter(run=run_id).select_related("run")
    return [_rescoring(order) for order in orders.order_by("-pk")]


def _rescoring(rescoring: Rescoring) -> dict[str, Any]:
    changed = {}
    if rescoring.run.state == RunState.RANKED:
        changed = {change.set: change.counts for change in rescoring.changes()}
    return {
        "id": rescoring.pk,
        "run": rescoring.run_id,
        "grader": rescoring.grader,
        "state": rescoring.state,
        "asked_at": rescoring.asked_at,
        "ended_at": rescoring.ended_at,
        "failure": explain_code(rescoring.code),
        "changed": changed,
    }
