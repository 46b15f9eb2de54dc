"""Authors' replies to published runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.submissions import actions

router = Router(tags=["submissions"])


class ReplyIn(Strict):
    """Reply: plain text on one line, at most 500 characters."""

    text: str = Field(max_length=2000)


class HidingIn(Strict):
    """Reason for which maintainers hide a reply. It is shown in its place; empty shows it again."""

    why: str = Field(max_length=200)


class ReplyOut(Schema):
    """Reply of an organisation to a published result. A hidden one has a reason and no text."""

    organisation: str
    text: str
    written_at: datetime
    hidden_why: str


@router.put(
    "/runs/{uuid:run_id}/reply",
    auth=Bearer(Scope.MANAGE),
    response={
        200: ReplyOut,
        (400, 401, 403, 404, 409, 422): Problem,
    },
    summary="Reply to a published result",
)
def write_reply(request: HttpRequest, run_id: UUID, order: ReplyIn) -> dict[str, object]:
    """Write the reply, in place of an earlier one; for owners of the model's organisation and for
    the member who submitted the run."""
    by = token_user(request)
    reply = actions.write_reply(run=run_id, text=order.text, by=by)
    return reply.published()


@router.delete(
    "/runs/{uuid:run_id}/reply",
    auth=Bearer(Scope.MANAGE),
    response={204: None, (401, 403, 404, 409): Problem},
    summary="Withdraw a reply",
)
def withdraw_reply(request: HttpRequest, run_id: UUID) -> Any:
    """Delete a reply that is not hidden; for those who may write it."""
    actions.withdraw_reply(run=run_id, by=token_user(request))
    return Status(204, None)


@router.put(
    "/runs/{uuid:run_id}/reply/hidden",
    auth=Bearer(Scope.MANAGE),
    response={
        200: ReplyOut,
        (400, 401, 403, 404, 422): Problem,
    },
    summary="Hide a reply",
)
def hide_reply(request: HttpRequest, run_id: UUID, order: HidingIn) -> dict[str, object]:
    """Hide a reply for a reason, or show it again; for maintainers."""
    by = token_user(request)
    reply = actions.hide_reply(run=run_id, why=order.why, by=by)
    return reply.published()
