"""Facts about the site's own programs: its housekeeping's heartbeat, and refused reports."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models.functions import Now

BEAT = "beat"
RECORDED = "recorded"
"""Of the last moment up to which all reports had been recorded."""


class Heartbeat(models.Model):
    """Last time that a scheduled task ran, by the database's clock, with counts in ``facts``."""

    name = models.CharField(max_length=20, primary_key=True)
    at = models.DateTimeField()
    facts: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def stamp(cls, name: str, **facts: Any) -> None:
        """Record that a task ran now."""
        fields = {"at": Now(), "facts": facts}
        cls.objects.update_or_create(name=name, defaults=fields, create_defaults=fields)

    @classmethod
    def move(cls, name: str, moment: datetime) -> datetime | None:
        """Move a heartbeat to a moment, in the caller's transaction. Returns the one before."""
        row = cls.objects.select_for_update().filter(name=name).first()
        if row is None:
            cls.objects.get_or_create(name=name, defaults={"at": moment})
            return None
        later = max(moment, row.at)
        cls.objects.filter(pk=row.pk).update(at=later)
        return row.at


class RefusedReport(models.Model):
    """Count of reports refused on one day for one reason, with size and digest of the last.

    A report's content is never stored. ``claimed`` is the registered evaluator that it names, if
    any; a refused report does not prove its sender.
    """

    day = models.DateField()
    code = models.CharField(max_length=40)
    claimed = models.CharField(max_length=80, blank=True)
    count = models.PositiveIntegerField(default=0)
    size = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64)
    last = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["day", "code", "claimed"], name="refused_once_a_day"),
        )

    def __str__(self) -> str:
        return f"{self.code} on {self.day}"
