"""Prompts of public items, and probes: public items that an endpoint was asked before a run.

A trigger refuses a prompt of a sealed set.
"""

import uuid
from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from evaluator.contract import Probed
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import ItemSet, SetPair

PROBE_DAYS = 7
"""Days for which a probe is stored."""


class PublicPrompt(models.Model):
    """Prompt of a public set's first item by a protocol, as an evaluator stated it."""

    item_set = models.ForeignKey(ItemSet, on_delete=models.CASCADE, related_name="+")
    protocol = models.CharField(max_length=80)
    text = models.TextField()
    received = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["item_set", "protocol"], name="public_prompt_once"),
        )

    def __str__(self) -> str:
        return f"{self.item_set_id}: {self.protocol}"


class ProbeQuerySet(models.QuerySet["Probe"]):
    """Probes of all organisations."""

    def visible_to(self, user: User) -> "ProbeQuerySet":
        """Those of the user's organisations."""
        return self.filter(organisation__members=user).distinct()

    def lapsed(self) -> "ProbeQuerySet":
        """Those that wait for an answer and whose time is over by the database's clock."""
        return self.filter(state=Probe.State.WAITING, deadline__lt=Now())

    def old(self) -> "ProbeQuerySet":
        """Those whose time in the database is over."""
        return self.filter(created__lt=Now() - timedelta(days=PROBE_DAYS))


class Probe(models.Model):
    """Probe of an endpoint: what is asked, and the answer (a ``contract.Probed``) once it came.

    ``sealed_keys`` is the API key sealed to the evaluators, and erased with the answer. ``code`` is
    the reason for no answer.
    """

    class State(models.TextChoices):
        """State of a probe."""

        WAITING = "waiting"
        ANSWERED = "answered"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organisation = models.ForeignKey(Organisation, on_delete=models.CASCADE, related_name="+")
    by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    pair = models.ForeignKey(SetPair, on_delete=models.CASCADE, related_name="+")
    protocol = models.CharField(max_length=80)
    url = models.CharField(max_length=2000)
    served_model = models.CharField(max_length=200)
    api = models.CharField(max_length=20)
    provider = models.CharField(max_length=40, blank=True)
    sealed_keys: "models.JSONField[dict[str, str], dict[str, str]]" = models.JSONField(default=dict)
    price_in = models.FloatField(null=True)
    price_out = models.FloatField(null=True)
    items = models.PositiveIntegerField()
    state = models.CharField(
        max_length=10,
        choices=State.choices,
        default=State.WAITING,
    )
    code = models.CharField(max_length=40, blank=True)
    result: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    created = models.DateTimeField(auto_now_add=True)
    deadline = models.DateTimeField()

    objects = ProbeQuerySet.as_manager()

    class Meta:
        indexes = (models.Index(fields=["state", "deadline"], name="probe_by_deadline"),)

    def __str__(self) -> str:
        return str(self.pk)

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("probe", args=[self.pk])

    @property
    def answer(self) -> Probed | None:
        """Return what the evaluator answered; None while nothing has come."""
        return Probed.from_dict(self.result) if self.result else None
