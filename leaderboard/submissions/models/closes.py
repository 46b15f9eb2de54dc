"""Planned closes of boards."""

from typing import Self

from django.db import models
from django.db.models.functions import Now

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair


class PlannedCloseQuerySet(models.QuerySet["PlannedClose"]):
    """Planned closes of all pairs."""

    def ahead(self) -> Self:
        """Those that are not carried out yet, the earliest first, also those that are overdue."""
        ahead = self.filter(closed_at=None, pair__withdrawn_at=None)
        return ahead.order_by("at", "pk")

    def due(self) -> Self:
        """Those whose moment has come, by the database's clock."""
        return self.ahead().filter(at__lte=Now())


class PlannedClose(models.Model):
    """Moment at which a pair's board is closed, as a maintainer planned it.

    ``closed_at`` is when it was carried out; a plan that is withdrawn before is deleted.
    """

    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="planned_closes")
    at = models.DateTimeField()
    planned_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)

    objects = PlannedCloseQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["pair", "at"], name="planned_close_once"),)

    def __str__(self) -> str:
        return f"{self.pair} on {self.at:%Y-%m-%d %H:%M}"
