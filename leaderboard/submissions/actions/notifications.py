"""Notifications about runs: who asked for them, and their delivery by mail and by webhooks.

- A step of a run writes a ``StateChange`` in its own transaction.
- :func:`spread` makes a ``Delivery`` of it for each who asked, once.
- :func:`deliver` sends those that are due. A delivery is claimed before it is sent, so that two
  programs do not send it at once; where one dies in between, it is sent again under the same id.
"""

import hashlib
import http.client
import json
import secrets
import time
from collections.abc import Sequence
from smtplib import SMTPException

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.crypto import salted_hmac
from kombu.exceptions import OperationalError as BrokerAway

from evaluator import addresses
from evaluator.errors import EvaluatorError
from leaderboard.accounts.models import Membership, Organisation, Role, User
from leaderboard.celery import NOTIFICATIONS_QUEUE, NOTIFY_TASK, app
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.closes import next_closes
from leaderboard.submissions.actions.deliveries import CLAIM_SECONDS, settle
from leaderboard.submissions.actions.letters import send_letters
from leaderboard.submissions.actions.next_steps import next_step
from leaderboard.submissions.models import Letter, seconds_from_now
from leaderboard.submissions.models.notifications import (
    ENDS,
    PING,
    Delivery,
    MailChoice,
    StateChange,
    Webhook,
)
from leaderboard.submissions.posting import post, signature, written_secret
from leaderboard.submissions.states import RunState

MOST_WEBHOOKS = 5
"""Webhooks of one organisation."""
GATHER_SECONDS = 20.0
"""Time for which mail waits, so that what happens at once comes in one mail."""
SPREAD_AT_ONCE = 500
SENT_AT_ONCE = 20
ROUNDS = 50
"""Calls of one webhook at a time; what is left is requested again by the housekeeping."""
SHOWN_IN_MAIL = 30


# --- choices


def choose_mail(*, user: User, ends: bool, results: bool) -> MailChoice:
    """Store what a user wants mail about."""
    choice, _ = MailChoice.objects.update_or_create(
        user=user,
        defaults={"ends": ends, "results": results},
    )
    return choice


def owned_webhooks(*, organisation: str, by: User) -> Organisation:
    """Return an organisation whose webhooks a user may see and change.

    Raises ``unknown_organisation`` and ``owners_only``.
    """
    owned = Organisation.objects.filter(name__iexact=organisation).first()
    if owned is None:
        raise refuse(Refusal.UNKNOWN_ORGANISATION)
    owners = Membership.objects.filter(organisation=owned, role=Role.OWNER)
    if not owners.filter(user=by).exists():
        raise refuse(Refusal.OWNERS_ONLY)
    return owned


def add_webhook(
    *,
    organisation: str,
    url: str,
    by: User,
) -> tuple[Webhook, str]:
    """Return a new webhook and its secret, which is shown once.

    Raises as :func:`owned_webhooks`, ``too_many_webhooks``, and ``webhook_refused`` for an address
    that may not be called.
    """
    owned = owned_webhooks(organisation=organisation, by=by)
    try:
        addresses.check(url, allow_private=settings.PRIVATE_WEBHOOKS)
    except EvaluatorError as failure:
        raise refuse(Refusal.WEBHOOK_REFUSED, failure.detail) from None
    with transaction.atomic():
        Organisation.objects.select_for_update(no_key=True).get(pk=owned.pk)
        if owned.webhooks.count() >= MOST_WEBHOOKS:
            raise refuse(Refusal.TOO_MANY_WEBHOOKS, str(MOST_WEBHOOKS))
        made = Webhook.objects.create(
            organisation=owned,
            url=url,
            salt=secrets.token_hex(32),
            created_by=by,
        )
    return made, written_secret(_secret(made))


def own_webhook(*, organisation: str, webhook: int, by: User) -> Webhook:
    """Return a webhook of an organisation that ``by`` owns. Raises ``not_found`` too."""
    owned = owned_webhooks(organisation=organisation, by=by)
    own = owned.webhooks.filter(pk=webhook).first()
    if own is None:
        raise refuse(Refusal.NOT_FOUND)
    return own


def remove_webhook(*, organisation: str, webhook: int, by: User) -> None:
    """Delete a webhook and the log of its deliveries. Raises as :func:`own_webhook`."""
    own_webhook(organisation=organisation, webhook=webhook, by=by).delete()


def ping_webhook(*, organisation: str, webhook: int, by: User) -> Delivery:
    """Queue a delivery that says nothing, to try a webhook. Raises as :func:`own_webhook`."""
    own = own_webhook(organisation=organisation, webhook=webhook, by=by)
    waiting = own.deliveries.filter(event=PING, due__isnull=False).first()
    if waiting is not None:
        return waiting
    return Delivery.objects.create(webhook=own, event=PING, due=Now())


def _secret(webhook: Webhook) -> bytes:
    keyed = salted_hmac("holdfast.webhook", webhook.salt, algorithm="sha256")
    return keyed.digest()


# --- spreading


def spread() -> int:
    """Make the deliveries of the oldest steps that have none yet. Returns how many steps."""
    with transaction.atomic():
        changes = StateChange.objects.select_for_update(of=("self",), skip_locked=True)
        oldest_first = changes.select_related("run__submission__model").order_by("pk")
        steps = list(oldest_first[:SPREAD_AT_ONCE])
        deliveries: list[Delivery] = []
        for step in steps:
            submission = step.run.submission
            facts = {
                "run": step.run,
                "event": step.state,
                "change": step.pk,
                "moment": step.moment,
            }
            webhooks = Webhook.objects.filter(organisation=submission.model.organisation_id)
            for webhook in webhooks:
                deliveries.append(Delivery(webhook=webhook, due=Now(), **facts))
            choices = MailChoice.objects.filter(
                user=submission.submitted_by_id,
                user__is_active=True,
            )
            if step.state in ENDS:
                choices = choices.filter(ends=True)
            elif step.state == RunState.RANKED:
                choices = choices.filter(results=True)
            else:
                choices = choices.none()
            due = seconds_from_now(GATHER_SECONDS)
            for choice in choices:
                deliveries.append(Delivery(user_id=choice.user_id, due=due, **facts))
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        spread_steps = [step.pk for step in steps]
        StateChange.objects.filter(pk__in=spread_steps).delete()
    return len(steps)


def request_notifications() -> int:
    """Ask the sender of notifications for its work, where there is some and it was not asked.

    Returns 1 if it was asked.
    """
    due = (
        StateChange.objects.all(),
        Delivery.objects.due(),
        Letter.objects.due(),
    )
    if not any(rows.exists() for rows in due):
        return 0
    try:
        if dispatch.depth(NOTIFICATIONS_QUEUE):
            return 0
        app.send_task(NOTIFY_TASK, queue=NOTIFICATIONS_QUEUE, retry=False)
    except (BrokerAway, OSError):
        return 0
    return 1


# --- delivery


def deliver() -> int:
    """Spread new steps, then send what is due. Returns how many deliveries were tried."""
    while spread():
        pass
    tried = 0
    for _ in range(ROUNDS):
        with transaction.atomic():
            # The oldest of each webhook: one that does not answer delays no other.
            due = Delivery.objects.due().filter(webhook__isnull=False)
            oldest_first = due.order_by("webhook", "moment", "pk")
            oldest = oldest_first.distinct("webhook").values_list("pk", flat=True)
            locking = Delivery.objects.select_for_update(of=("self",), skip_locked=True)
            rows = locking.due().filter(pk__in=list(oldest))
            related = rows.select_related(
                "webhook",
                "run__submission__model",
                "run__submission__pair",
            )
            claimed = list(related.order_by("due")[:SENT_AT_ONCE])
            _claim(claimed)
        for delivery in claimed:
            if delivery.webhook is None:
                continue
            taken, result = _call(delivery, delivery.webhook)
            settle([delivery], taken, result)
            delivery.refresh_from_db(fields=["due"])
            if delivery.due is not None:
                # It was not taken: all that is due at the webhook waits with it.
                of_webhook = Delivery.objects.filter(webhook=delivery.webhook_id)
                of_webhook.filter(due__lt=delivery.due).update(due=delivery.due)
        tried += len(claimed)
        if not claimed:
            break
    due_users = Delivery.objects.due().values("user")
    for user in User.objects.filter(pk__in=due_users):
        # One mail about all that is due to the user.
        with transaction.atomic():
            locking = Delivery.objects.select_for_update(of=("self",), skip_locked=True)
            rows = locking.due().filter(user=user)
            related = rows.select_related("run__submission__model", "run__submission__pair")
            claimed = list(related.order_by("moment", "pk"))
            _claim(claimed)
        if claimed:
            taken, result = _send(user, claimed)
            settle(claimed, taken, result)
        tried += len(claimed)
    return tried + send_letters()


def _claim(deliveries: Sequence[Delivery]) -> None:
    """Have no other program send these locked deliveries for a time."""
    rows = Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries])
    rows.update(due=seconds_from_now(CLAIM_SECONDS))


def _call(delivery: Delivery, webhook: Webhook) -> tuple[bool, str]:
    """Call a webhook. Return true if it took the notification, and the status or the code."""
    text = json.dumps(payload(delivery), separators=(",", ":"))
    body = text.encode()
    now = int(time.time())
    identity = str(delivery.pk)
    secret = _secret(webhook)
    signed = signature(secret, identity=identity, timestamp=now, body=body)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Holdfast",
        "webhook-id": identity,
        "webhook-timestamp": str(now),
        "webhook-signature": signed,
    }
    try:
        status = post(webhook.url, body, headers, allow_private=settings.PRIVATE_WEBHOOKS)
    except EvaluatorError as failure:
        return False, failure.code.value
    except (OSError, http.client.HTTPException, ValueError):
        return False, "no_answer"
    return 200 <= status < 300, str(status)


def payload(delivery: Delivery) -> dict[str, object]:
    """Return the body of a notification: names, states and codes; no score, nothing of an item."""
    body: dict[str, object] = {
        "type": "ping" if delivery.run is None else f"run.{delivery.event}",
        "timestamp": delivery.moment.isoformat(),
        "data": {},
    }
    if delivery.run is not None:
        run = delivery.run
        failed = delivery.event == RunState.FAILED and run.state == RunState.FAILED
        body["data"] = {
            "run": str(run.pk),
            "state": delivery.event,
            "model": run.submission.model.name,
            "benchmark": run.submission.pair.slug,
            "code": run.code if failed else "",
            "fault": run.fault if failed else "",
            "url": settings.SITE_URL + run.get_absolute_url(),
        }
    return body


def _send(user: User, deliveries: Sequence[Delivery]) -> tuple[bool, str]:
    addresses_of_user = EmailAddress.objects.filter(
        user=user,
        verified=True,
        primary=True,
    )
    confirmed = addresses_of_user.first()
    if confirmed is None:
        return False, "no_address"
    closes = next_closes()
    about_runs = [(delivery, delivery.run) for delivery in deliveries if delivery.run is not None]
    shown = about_runs[:SHOWN_IN_MAIL]
    lines = []
    for delivery, run in shown:
        url = settings.SITE_URL + run.get_absolute_url()
        lines.append((delivery.event, run, url, next_step(run, closes)))
    context = {
        "lines": lines,
        "more": len(deliveries) - len(lines),
        "settings": settings.SITE_URL + reverse("notifications"),
        "mine": settings.SITE_URL + reverse("mine"),
    }
    text = render_to_string("submissions/email/notifications.txt", context)
    first, first_run = shown[0]
    submission = first_run.submission
    subject = f"{submission.model.name} on {submission.pair.title}: {first.event}"
    subject = " ".join(subject.split())
    if len(deliveries) > 1:
        subject += f", and {len(deliveries) - 1} more"
    # The id is the same whenever the same notifications are sent.
    ids = " ".join(str(delivery.pk) for delivery in deliveries)
    mail_id = hashlib.sha256(ids.encode()).hexdigest()[:32]
    mail = EmailMessage(subject, text, to=[confirmed.email])
    mail.extra_headers = {
        "Message-ID": f"<{mail_id}@holdfast>",
        "List-Unsubscribe": f"<{context['settings']}>",
        "Auto-Submitted": "auto-generated",
    }
    try:
        mail.send()
    except (SMTPException, OSError):
        return False, "mail_away"
    return True, "sent"
