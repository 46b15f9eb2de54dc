"""Mails to single users about what is not a step of a run."""

from typing import Self

from django.db import models
from django.db.models.functions import Now

from leaderboard.accounts.models import User


class LetterQuerySet(models.QuerySet["Letter"]):
    """Mails to users."""

    def due(self) -> Self:
        """Those whose (next) try is due by the database's clock."""
        return self.filter(due__lte=Now())


class Letter(models.Model):
    """Mail to a user, written with what it is about and sent by the worker of notifications.

    A user gets one with each ``key``. ``due`` is null once nothing more is tried; ``result`` is the
    obstacle of the last try.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="letters")
    key = models.CharField(max_length=120)
    subject = models.CharField(max_length=200)
    text = models.TextField()
    moment = models.DateTimeField(db_default=Now())
    due = models.DateTimeField(null=True, db_default=Now())
    tries = models.PositiveIntegerField(default=0)
    result = models.CharField(max_length=40, blank=True)
    delivered_at = models.DateTimeField(null=True)

    objects = LetterQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "key"], name="letter_once"),)
        indexes = (
            models.Index(
                fields=["due"],
                condition=models.Q(due__isnull=False),
                name="letter_due",
            ),
        )

    def __str__(self) -> str:
        return f"{self.key} to {self.user_id}"
