"""Embargoes: results of weights whose rows are shown later, for their authors."""

from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone

from leaderboard.accounts.models import User
from leaderboard.submissions.models.runs import Run
from leaderboard.submissions.models.systems import Model, Submission
from leaderboard.submissions.states import RunState

ENDED_WITHOUT_RESULT = (RunState.FAILED, RunState.CANCELLED)


class EmbargoQuerySet(models.QuerySet["Embargo"]):
    """Embargoes of all submissions."""

    def asked(self) -> Self:
        """Those that their authors asked for and neither they nor the time ended."""
        return self.filter(_running()).without_ended()

    def active(self) -> Self:
        """Those that hold a result back: asked for, or of a run that follows such a one."""
        running = _running() | models.Q(because_of__in=Embargo.objects.asked())
        return self.filter(running).without_ended()

    def without_ended(self) -> Self:
        """Those whose submission has no run that ended without a result."""
        return self.exclude(submission__runs__state__in=ENDED_WITHOUT_RESULT)

    def about(self, model: Model) -> Self:
        """Those that hold back results of a model, the first submitted first."""
        own = self.active().filter(submission__model=model)
        related = own.select_related("submission__pair", "because_of")
        return related.order_by("submission__created")

    def over(self) -> Self:
        """Those that no longer hold back the decided result of a run."""
        held = self.filter(submission__runs__state=RunState.GRADED, decided_at__isnull=False)
        active = Embargo.objects.active()
        return held.exclude(pk__in=active.values("pk"))


def _running() -> models.Q:
    """Return the condition that neither its author nor the time ended an embargo."""
    return models.Q(until__gt=timezone.now(), lifted_at=None)


class Embargo(models.Model):
    """Moment until which the result of a submission has no row.

    - ``decided_at``: its cohort was closed, so the result is decided and only not shown. Its run
      stays graded until then.
    - ``because_of``: the embargo of an earlier run of the model, with which this one waits. Its
      level depends on that run, and would disclose it. Where the author of the later run asked for
      none, ``until`` is past from the start.
    """

    submission = models.OneToOneField(Submission, on_delete=models.PROTECT, related_name="embargo")
    until = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
    )
    because_of = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="followers",
    )

    objects = EmbargoQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.submission} until {self.until:%Y-%m-%d}"

    @property
    def is_running(self) -> bool:
        """Return True while neither its author nor the time ended it."""
        return self.lifted_at is None and self.until > timezone.now()

    @property
    def ends(self) -> datetime | None:
        """Return the moment until which it holds a result back; None if it does not."""
        both = (self, self.because_of)
        ahead = []
        for embargo in both:
            if embargo is not None and embargo.is_running:
                ahead.append(embargo.until)
        return max(ahead, default=None)

    @property
    def held_until(self) -> datetime:
        """Return the moment until which it holds a result back, or did."""
        return self.ends or self.until


def shown_from(run: Run) -> datetime | None:
    """Return the moment until which a run's result is held back; None for no embargo."""
    embargo: Embargo | None = getattr(run.submission, "embargo", None)
    if embargo is None or run.state in (RunState.RANKED, *ENDED_WITHOUT_RESULT):
        return None
    return embargo.ends


def is_decided(run: Run) -> bool:
    """Return True if a run's cohort was closed, so that its author may see the whole result."""
    if run.state == RunState.RANKED:
        return True
    embargo: Embargo | None = getattr(run.submission, "embargo", None)
    if run.state != RunState.GRADED or embargo is None:
        return False
    return embargo.decided_at is not None
