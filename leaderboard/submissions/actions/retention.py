"""Retention: rows that are no longer read are deleted after a time, a bounded number at once.

- Receipts and job specifications of runs that have ended: fences and final states refuse what they
  would refuse.
- Counts of refused reports.
- Deliveries of notifications that were taken or abandoned.
- Prompts and answers of practice runs, after PRACTICE_DAYS.
- Probes of endpoints, after PROBE_DAYS.

Runs, outcomes, submissions and all of the public ledger stay for good: entries, heads, and grants,
which third parties hold against the evaluators' logs.
"""

from dataclasses import asdict, dataclass
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from leaderboard.submissions.models import (
    Delivery,
    Outbox,
    Probe,
    Receipt,
    RefusedReport,
    Run,
    Transcript,
    seconds_from_now,
)
from leaderboard.submissions.states import FINAL, RunState

AT_ONCE = 20_000
"""Rows of each kind that one call deletes, so that no lock is held for long."""
_DAY = 86_400.0


@dataclass(frozen=True)
class Pruned:
    """Numbers of rows that were deleted, or would be, by kind."""

    receipts: int
    job_specifications: int
    refused_reports: int
    deliveries: int = 0
    transcripts: int = 0
    probes: int = 0

    @property
    def total(self) -> int:
        """Sum over all kinds."""
        return sum(asdict(self).values())


def prune(*, dry_run: bool = False) -> Pruned:
    """Delete the rows that are older than RETENTION_DAYS or PRACTICE_DAYS.

    The clock is the database's. With ``dry_run`` they are only counted.
    """
    before = seconds_from_now(-settings.RETENTION_DAYS * _DAY)
    ended_states = [RunState.GRADED, *FINAL]
    ended = Run.objects.filter(state__in=ended_states, ended_at__lt=before)
    settled = Delivery.objects.filter(due=None, moment__lt=before)
    practised = seconds_from_now(-settings.PRACTICE_DAYS * _DAY)
    retained = timedelta(days=settings.RETENTION_DAYS)
    old_day = models.functions.TruncDate(Now() - retained)
    return Pruned(
        receipts=_delete(Receipt.objects.filter(run__in=ended), dry_run=dry_run),
        job_specifications=_delete(Outbox.objects.filter(run__in=ended), dry_run=dry_run),
        refused_reports=_delete(RefusedReport.objects.filter(day__lt=old_day), dry_run=dry_run),
        deliveries=_delete(settled, dry_run=dry_run),
        transcripts=_delete(Transcript.objects.filter(received__lt=practised), dry_run=dry_run),
        probes=_delete(Probe.objects.old(), dry_run=dry_run),
    )


def _delete(rows: "models.QuerySet[models.Model]", *, dry_run: bool) -> int:
    if dry_run:
        return rows.count()
    oldest_first = rows.order_by("pk").values_list("pk", flat=True)
    chosen = list(oldest_first[:AT_ONCE])
    deleted, _ = rows.model._default_manager.filter(pk__in=chosen).delete()
    return deleted
