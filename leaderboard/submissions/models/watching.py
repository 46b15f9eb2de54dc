"""Watch list: endpoints that maintainers have asked again and again, and each time that they were.

A watched run is never ranked, in no cohort, and asked public items only.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Cast
from django.db.models.lookups import Regex

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.models.runs import Run
from leaderboard.submissions.models.systems import SEALED_KEYS, Model, Submission
from leaderboard.submissions.states import RunState

LAST_DAY = 28
"""Last day of the month on which an endpoint may be asked each month: every month has it."""
LONGEST_WHY = 200
PARTS = ("before", "run", "after")
"""Runs of one occasion, in their order; ``before`` and ``after`` ask the control items."""


@dataclass(frozen=True)
class Change:
    """Answers of an endpoint to the same ``n`` items at two times.

    ``right`` are right at the second one, ``gained`` only then and ``lost`` only before. ``p`` is
    McNemar's exact, two-sided.
    """

    n: int
    right: int
    gained: int
    lost: int
    p: float

    @property
    def before(self) -> int:
        """Number of right answers at the first time."""
        return self.right - self.gained + self.lost


class WatchQuerySet(models.QuerySet["Watch"]):
    """The watch list."""

    def active(self) -> "WatchQuerySet":
        """Those that go on, on pairs that were not withdrawn."""
        return self.filter(ended_at=None, pair__withdrawn_at=None)

    def of_ranked_models(self) -> "WatchQuerySet":
        """Those of models that are ranked: the names of others are not public."""
        ranked = Run.objects.filter(
            submission__model=models.OuterRef("model"), state=RunState.RANKED
        )
        return self.filter(models.Exists(ranked))

    def with_facts(self) -> "WatchQuerySet":
        """Those with all related rows that pages show, by model."""
        related = self.select_related("model", "pair__public", "source", "added_by", "ended_by")
        return related.prefetch_related("occasions").order_by("model__name", "pk")


class Watch(models.Model):
    """Endpoint of a ranked benchmark that is asked on a day of each month, or on ``dates``.

    - ``source`` is the submission that names the endpoint.
    - ``sealed_keys`` is a key of the maintainers' own, sealed to the evaluators as a submitter's
      is. It is needed each time and so stored until the watch ends.
    - The ``controls`` items of the public set that are asked before and after each run follow from
      ``seed``.
    """

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="watches")
    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="watches")
    source = models.ForeignKey(Submission, on_delete=models.PROTECT, related_name="+")
    day = models.PositiveSmallIntegerField(null=True)
    dates: "models.JSONField[list[str], list[str]]" = models.JSONField(default=list)
    seed = models.CharField(max_length=32)
    controls = models.PositiveIntegerField()
    sealed_keys: "models.JSONField[dict[str, str], dict[str, str]]" = models.JSONField(default=dict)
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    added_at = models.DateTimeField(auto_now_add=True)
    ended_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
    )
    ended_at = models.DateTimeField(null=True)
    ended_why = models.CharField(max_length=LONGEST_WHY, blank=True)

    objects = WatchQuerySet.as_manager()

    class Meta:
        verbose_name = "watched endpoint"
        constraints = (
            models.UniqueConstraint(
                fields=["model", "pair"],
                condition=models.Q(ended_at__isnull=True),
                name="watch_once_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(day__gte=1, day__lte=LAST_DAY, dates=[])
                | models.Q(~models.Q(dates=[]), day__isnull=True),
                name="watch_has_one_schedule",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True, ended_by__isnull=True, ended_why="")
                | models.Q(
                    ~models.Q(ended_why=""),
                    ended_at__isnull=False,
                    ended_by__isnull=False,
                    sealed_keys={},
                ),
                name="watch_that_ended_has_no_key",
            ),
            models.CheckConstraint(
                condition=Regex(Cast("sealed_keys", models.TextField()), SEALED_KEYS),
                name="watch_key_is_sealed",
            ),
        )

    def __str__(self) -> str:
        return f"{self.model.name} on {self.pair.slug}"

    @property
    def schedule(self) -> str:
        """Return the schedule in words."""
        if self.day is not None:
            return f"each month on day {self.day}"
        return f"on {', '.join(self.dates)}"

    @property
    def is_keyed(self) -> bool:
        """Return True if the maintainers' key is stored."""
        return bool(self.sealed_keys)

    def due_on(self, today: date) -> date | None:
        """Return the last day up to ``today`` on which it is to be asked; None before the first."""
        added = self.added_at.date()
        past = [day for day in self._days(today) if added <= day <= today]
        return max(past, default=None)

    def next_after(self, today: date) -> date | None:
        """Return the first day after ``today`` on which it is to be asked; None if there is none.

        Also None for one that has ended.
        """
        ahead = [day for day in self._days(today) if day > today]
        return None if self.ended_at else min(ahead, default=None)

    def _days(self, today: date) -> Iterator[date]:
        """Yield its dates; of a monthly one those around ``today``."""
        if self.day is None:
            yield from map(date.fromisoformat, self.dates)
            return
        this_month = today.replace(day=1)
        last_month = this_month - timedelta(days=1)
        next_month = this_month + timedelta(days=31)
        for month in (last_month, this_month, next_month):
            yield month.replace(day=self.day)

    def first_result(self) -> "Occasion | None":
        """Return the first occasion with a result, which later ones are compared with."""
        for occasion in self.occasions.all():
            if occasion.result:
                return occasion
        return None

    def control_items(self) -> frozenset[int]:
        """Return the indices of its control items in the public set, always the same ones."""
        digests = {
            index: hashlib.sha256(f"{self.seed}:{index}".encode()).digest()
            for index in range(self.pair.public.n)
        }
        by_digest = sorted(digests, key=digests.__getitem__)
        return frozenset(by_digest[: self.controls])


class OccasionQuerySet(models.QuerySet["Occasion"]):
    """Times at which watched endpoints were asked."""

    def open(self) -> "OccasionQuerySet":
        """Those under way."""
        return self.filter(ended_at=None)

    def complete(self) -> "OccasionQuerySet":
        """Those with a result, the oldest first."""
        return self.filter(result__isnull=False).order_by("day")


class Occasion(models.Model):
    """One time at which a watched endpoint is asked: control items, the run, control items again.

    ``code`` is the reason for which it was missed. ``result`` has a :class:`Change` by name:
    ``during`` of the control items from before to after the run; ``controls`` and ``public`` since
    the first time, which is compared with itself.
    """

    watch = models.ForeignKey(Watch, on_delete=models.CASCADE, related_name="occasions")
    day = models.DateField()
    begun_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    code = models.CharField(max_length=40, blank=True)
    result: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )

    objects = OccasionQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["watch", "day"], name="occasion_once_a_day"),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True, code="", result__isnull=True)
                | models.Q(ended_at__isnull=False, code="", result__isnull=False)
                | models.Q(ended_at__isnull=False, code__regex="^[a-z_]+$", result__isnull=True),
                name="occasion_has_a_result_or_a_code",
            ),
        )
        ordering = ("day",)

    def __str__(self) -> str:
        return f"{self.watch_id}: {self.day}"

    @property
    def state(self) -> str:
        """Return ``asking``, ``done`` or ``missed``."""
        if self.ended_at is None:
            return "asking"
        return "missed" if self.code else "done"

    def change(self, name: str) -> Change | None:
        """Return one of its changes; None where there is none."""
        stored = (self.result or {}).get(name)
        return Change(**stored) if stored else None
