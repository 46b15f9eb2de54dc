"""The same facts of a row as a board shows, one column each."""

from typing import Any

from django.db import models

from leaderboard.board.rows import Row


class PlainRow(models.Model):
    """One ranked model."""

    rank = models.IntegerField()
    public_rank = models.IntegerField()
    model = models.CharField(max_length=80)
    organisation = models.CharField(max_length=80)
    family = models.CharField(max_length=80)
    parameters = models.BigIntegerField(null=True)
    access = models.CharField(max_length=8)
    protocol = models.CharField(max_length=80)
    private = models.FloatField()
    private_low = models.FloatField()
    private_high = models.FloatField()
    public = models.FloatField()
    gap = models.FloatField()
    gap_low = models.FloatField()
    gap_high = models.FloatField()
    evidence = models.CharField(max_length=20)
    tries = models.IntegerField()
    ended = models.CharField(max_length=10)

    def __str__(self) -> str:
        return self.model

    @classmethod
    def of(cls, row: Row) -> "PlainRow":
        """The same row."""
        same = (
            "rank",
            "public_rank",
            "model",
            "organisation",
            "family",
            "parameters",
            "access",
            "protocol",
            "gap",
        )
        named: dict[str, Any] = {
            name: getattr(row, name) for name in (*same, "evidence", "tries", "ended")
        }
        return cls(
            private=row.private.accuracy,
            private_low=row.private.interval[0],
            private_high=row.private.interval[1],
            public=row.public.accuracy,
            gap_low=row.interval[0],
            gap_high=row.interval[1],
            **named,
        )
