"""Planned closes of boards."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.submissions import actions
from leaderboard.submissions.models import PlannedClose

router = Router(tags=["board"])


class PlannedCloseIn(Strict):
    """Close of a pair's board. ``at`` has its offset from UTC."""

    pair: str = Field(max_length=80)
    at: datetime = Field(strict=False)


class PlannedCloseOut(Schema):
    """Close that is planned and not carried out yet."""

    id: int
    pair: str
    at: datetime


@router.get(
    "/closes",
    auth=None,
    response={200: list[PlannedCloseOut]},
    summary="Planned closes of boards",
)
def planned_closes(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the planned closes, the earliest first. A board without one is closed by the clock:
    ``next_close`` of ``/benchmarks`` has both."""
    return [_plan(plan) for plan in actions.planned_closes()]


@router.post(
    "/closes",
    auth=Bearer(Scope.MANAGE),
    response={
        201: PlannedCloseOut,
        (400, 401, 403, 404, 409, 422): Problem,
    },
    summary="Plan a close",
)
def plan_close(request: HttpRequest, order: PlannedCloseIn) -> Any:
    """Plan a close of a board; for maintainers. Planning it twice changes nothing."""
    by = token_user(request)
    plan = actions.plan_close(pair=order.pair, at=order.at, by=by)
    return Status(201, _plan(plan))


@router.delete(
    "/closes/{int:plan}",
    auth=Bearer(Scope.MANAGE),
    response={204: None, (401, 403, 404): Problem},
    summary="Withdraw a planned close",
)
def withdraw_close(request: HttpRequest, plan: int) -> Any:
    """Withdraw a close that was not carried out; for maintainers."""
    actions.withdraw_close(plan=plan, by=token_user(request))
    return Status(204, None)


def _plan(plan: PlannedClose) -> dict[str, Any]:
    return {
        "id": plan.pk,
        "pair": plan.pair.slug,
        "at": plan.at,
    }
