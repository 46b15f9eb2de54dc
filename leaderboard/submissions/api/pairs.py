"""Withdrawal of a pair of sets, by maintainers."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.submissions import actions

router = Router(tags=["submissions"])


class Withdrawal(Strict):
    """Reason for a withdrawal: one of the reasons that its page lists."""

    reason: str = Field(max_length=20)


class WithdrawnOut(Schema):
    """Pair that was withdrawn."""

    pair: str
    state: str
    reason: str
    moment: datetime


@router.post(
    "/sets/{slug}/withdrawal",
    auth=Bearer(Scope.MANAGE),
    response={201: WithdrawnOut, (401, 403, 409, 422): Problem},
    summary="Withdraw a pair",
)
def withdraw_pair(request: HttpRequest, slug: str, order: Withdrawal) -> Any:
    """Withdraw a pair for ever and cancel its waiting runs; for maintainers.

    Refused once a run on it has a result.
    """
    user = token_user(request)
    slug = slug.replace("\0", "")
    pair = actions.withdraw_pair(slug=slug, reason=order.reason, by=user)
    body = {
        "pair": pair.slug,
        "state": pair.published_state,
        "reason": pair.withdrawn_why,
        "moment": pair.withdrawn_at,
    }
    return Status(201, body)
