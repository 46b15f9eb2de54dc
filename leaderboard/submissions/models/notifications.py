"""Notifications about runs: the steps that runs took, who asked to hear of them, and what was sent.

No row holds more than names, states and codes: nothing of an item, no score.
"""

import uuid
from datetime import datetime

from django.db import models
from django.db.models.functions import Now

from leaderboard.accounts.models import Organisation, User
from leaderboard.submissions.models.runs import Run
from leaderboard.submissions.states import RunState

PING = "ping"
"""Event of a delivery that an owner asked for, to try a webhook."""
ENDS = (RunState.GRADED, RunState.FAILED, RunState.CANCELLED)
"""States in which a run has ended, before its result is published."""


class StateChange(models.Model):
    """Step of a run into one of the states ``ANNOUNCED``, written in the step's transaction.

    It is deleted once a delivery was made for each who asked to hear of it.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="state_changes")
    state = models.CharField(max_length=9)
    moment = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.run_id}: {self.state}"


class MailChoice(models.Model):
    """Mail that a user asked for: about the ends of their runs, about published results."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="mail_choice")
    ends = models.BooleanField(default=False)
    results = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"mail to {self.user_id}"


class Webhook(models.Model):
    """Address that an organisation's owners want to be called about its runs.

    The signing secret is derived from ``salt`` and the site's SECRET_KEY, so that the database
    alone signs nothing.
    """

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="webhooks",
    )
    url = models.CharField(max_length=2000)
    salt = models.CharField(max_length=64)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Deliveries of notifications."""

    def due(self) -> "DeliveryQuerySet":
        """Those whose (next) try is due by the database's clock."""
        return self.filter(due__lte=Now())


class Delivery(models.Model):
    """Notification to one webhook or one user, sent until it is taken or abandoned.

    ``id`` is sent along and stays the same over all tries: a receiver that sees it twice has had
    it. ``due`` is null once nothing more is tried. ``result`` is the HTTP status of the last
    answer, or the code of the obstacle.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(
        Webhook,
        on_delete=models.CASCADE,
        null=True,
        related_name="deliveries",
    )
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
    )
    run = models.ForeignKey(
        Run,
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
    )
    event = models.CharField(max_length=9)
    change = models.PositiveBigIntegerField(null=True)
    moment = models.DateTimeField(db_default=Now())
    due = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=40, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["change", "webhook"], name="delivery_once_a_webhook"),
            models.UniqueConstraint(fields=["change", "user"], name="delivery_once_a_user"),
            models.CheckConstraint(
                condition=models.Q(webhook__isnull=True) ^ models.Q(user__isnull=True),
                name="delivery_is_to_one",
            ),
        )
        indexes = (
            models.Index(
                fields=["due"],
                condition=models.Q(due__isnull=False),
                name="delivery_by_due",
            ),
        )
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.event} {self.id}"

    @property
    def next_try(self) -> datetime | None:
        """Return when it is tried again; None where it is not."""
        return self.due if self.delivered_at is None else None
