"""Mail that a user wants, and the webhooks of an organisation."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from leaderboard.accounts.api import Bearer, Problem, Strict, token_user
from leaderboard.accounts.models import Scope
from leaderboard.submissions import actions
from leaderboard.submissions.models import Delivery, MailChoice, Webhook

router = Router(tags=["notifications"])
MOST_DELIVERIES = 100


class MailBody(Strict):
    """Mail about the ends of one's runs (``ends``), and about published results."""

    ends: bool
    results: bool


class MailOut(Schema):
    """Mail that is wanted."""

    ends: bool
    results: bool


class WebhookIn(Strict):
    """Address to call, as ``https://NAME/PATH``."""

    url: str = Field(max_length=2000)


class DeliveryOut(Schema):
    """Notification to a webhook: ``result`` is the status of the last answer, or a code; ``due`` is
    the next try, null after the last one."""

    id: UUID
    event: str
    run: UUID | None
    moment: datetime
    tries: int
    result: str
    delivered_at: datetime | None
    due: datetime | None


class WebhookOut(Schema):
    """Webhook. ``secret`` is there once, in the answer that creates it."""

    id: int
    url: str
    created: datetime
    secret: str | None = None
    deliveries: list[DeliveryOut]


@router.get(
    "/notifications",
    auth=Bearer(Scope.READ),
    response={200: MailOut, 401: Problem},
    summary="The mail that you asked for",
)
def mail(request: HttpRequest) -> MailChoice:
    """Return what the token's holder wants mail about; at first nothing."""
    stored = MailChoice.objects.filter(user=token_user(request)).first()
    return stored or MailChoice()


@router.put(
    "/notifications",
    auth=Bearer(Scope.MANAGE),
    response={200: MailOut, (400, 401, 403, 422): Problem},
    summary="Choose your mail",
)
def choose_mail(request: HttpRequest, order: MailBody) -> MailChoice:
    """Store what the token's holder wants mail about."""
    user = token_user(request)
    return actions.choose_mail(user=user, ends=order.ends, results=order.results)


@router.get(
    "/organisations/{name}/webhooks",
    auth=Bearer(Scope.MANAGE),
    response={200: list[WebhookOut], (401, 403, 404): Problem},
    summary="Webhooks of an organisation, and their deliveries",
)
def webhooks(request: HttpRequest, name: str) -> list[dict[str, Any]]:
    """List them with their newest deliveries; for owners."""
    owned = actions.owned_webhooks(organisation=name, by=token_user(request))
    return [_webhook(one) for one in owned.webhooks.order_by("pk")]


@router.post(
    "/organisations/{name}/webhooks",
    auth=Bearer(Scope.MANAGE),
    response={
        201: WebhookOut,
        (400, 401, 403, 404, 409, 422): Problem,
    },
    summary="Create a webhook",
)
def add_webhook(request: HttpRequest, name: str, order: WebhookIn) -> Any:
    """Create a webhook, which is called on each step of the organisation's runs; for owners.

    Calls are signed as Standard Webhooks are: ``webhook-signature`` is HMAC-SHA256 over
    ``ID.TIMESTAMP.BODY``. ``webhook-id`` stays the same over all tries.
    """
    user = token_user(request)
    made, secret = actions.add_webhook(organisation=name, url=order.url, by=user)
    return Status(201, _webhook(made) | {"secret": secret})


@router.delete(
    "/organisations/{name}/webhooks/{int:webhook}",
    auth=Bearer(Scope.MANAGE),
    response={204: None, (401, 403, 404): Problem},
    summary="Delete a webhook",
)
def remove_webhook(request: HttpRequest, name: str, webhook: int) -> Any:
    """Delete a webhook and the log of its deliveries; for owners."""
    actions.remove_webhook(organisation=name, webhook=webhook, by=token_user(request))
    return Status(204, None)


@router.post(
    "/organisations/{name}/webhooks/{int:webhook}/ping",
    auth=Bearer(Scope.MANAGE),
    response={202: DeliveryOut, (401, 403, 404): Problem},
    summary="Call a webhook to try it",
)
def ping_webhook(request: HttpRequest, name: str, webhook: int) -> Any:
    """Queue a call that says nothing; for owners."""
    user = token_user(request)
    made = actions.ping_webhook(organisation=name, webhook=webhook, by=user)
    made.refresh_from_db()
    return Status(202, _delivery(made))


def _webhook(one: Webhook) -> dict[str, Any]:
    newest = one.deliveries.order_by("-moment", "-pk")[:MOST_DELIVERIES]
    return {
        "id": one.pk,
        "url": one.url,
        "created": one.created,
        "deliveries": [_delivery(delivery) for delivery in newest],
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event": delivery.event,
        "run": delivery.run_id,
        "moment": delivery.moment,
        "tries": delivery.tries,
        "result": delivery.result,
        "delivered_at": delivery.delivered_at,
        "due": delivery.due,
    }
