"""Messages about runs: job specifications that are to be sent, reports that came, declines."""

from collections.abc import Collection
from typing import Any

from django.db import connection, models
from django.db.models.functions import Now

from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.models.runs import Run
from leaderboard.submissions.states import RunState

ReportKey = tuple[int, str, int]
"""Token, worker and sequence of a report: it names the report among those about its run."""


class ReceiptQuerySet(models.QuerySet["Receipt"]):
    """Receipts of reports."""

    def take(
        self,
        run: Run,
        reports: Collection[ReportKey],
    ) -> set[ReportKey]:
        """Add receipts of reports. Return those reports that had none."""
        values = ", ".join(["(%s, %s, %s, %s, CURRENT_TIMESTAMP)"] * len(reports))
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO submissions_receipt"  # noqa: S608
                " (run_id, token, worker, sequence, received)"
                f" VALUES {values} ON CONFLICT DO NOTHING RETURNING token, worker, sequence",
                [field for key in reports for field in (run.pk, *key)],
            )
            return set(cursor.fetchall())


class Receipt(models.Model):
    """Record of a report that was taken, so that it is never applied twice."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="receipts")
    token = models.PositiveIntegerField()
    worker = models.CharField(max_length=32)
    sequence = models.PositiveIntegerField()
    received = models.DateTimeField(auto_now_add=True)

    objects = ReceiptQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["run", "token", "worker", "sequence"],
                name="receipt_once",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id} #{self.token}.{self.sequence}"


class OutboxQuerySet(models.QuerySet["Outbox"]):
    """Job specifications that are to reach an evaluator."""

    def queued(self) -> "OutboxQuerySet":
        """Those of the current attempt of runs that no evaluator has begun, oldest first."""
        current = self.filter(run__state=RunState.QUEUED, run__token=models.F("token"))
        return current.order_by("pk")

    def due(self) -> "OutboxQuerySet":
        """Those whose (next) dispatch is due by the database's clock."""
        return self.queued().filter(due__lte=Now())

    def official(self) -> "OutboxQuerySet":
        """Those of all runs but practice, which waits for the others."""
        return self.filter(run__submission__pair__practice=False)

    def practice(self) -> "OutboxQuerySet":
        """Those of practice runs."""
        return self.filter(run__submission__pair__practice=True)

    def sent(self) -> "OutboxQuerySet":
        """Those whose message is with the evaluators, in the order in which they were sent."""
        sent = self.queued().filter(
            sent_at__isnull=False,
            due__gt=Now(),
            run__waiting="",
        )
        return sent.order_by("due", "pk")

    def paused(self) -> "OutboxQuerySet":
        """Those that are not sent yet because an attempt before them failed, by their moment."""
        paused = self.queued().filter(
            sent_at__isnull=True,
            due__gt=Now(),
            run__waiting="",
        )
        return paused.order_by("due", "pk")


class Outbox(models.Model):
    """Job specification of one attempt, written in the transaction that made the attempt.

    It is dispatched until an evaluator has begun, with one message at a time: the database is the
    queue, the broker carries what the evaluators can take soon. ``payload`` lacks the sealed API
    keys, which are stored in one place only.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outbox")
    token = models.PositiveIntegerField()
    payload: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    due = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "token"], name="outbox_once_per_attempt"),
        )
        indexes = (models.Index(fields=["due"], name="outbox_by_due"),)
        verbose_name_plural = "outbox"

    def __str__(self) -> str:
        return f"{self.run_id} #{self.token}"

    @property
    def is_of_endpoint(self) -> bool:
        """True where an endpoint is asked, and no weights are loaded."""
        return bool(self.payload["system"]["kind"] == "endpoint")


class Decline(models.Model):
    """Statement of an evaluator that it cannot do a run, with the code of what it lacks.

    The newest of each evaluator and run is stored.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="declines")
    evaluator = models.ForeignKey(Evaluator, on_delete=models.CASCADE, related_name="declines")
    code = models.CharField(max_length=40)
    declined_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "evaluator"], name="decline_once_per_evaluator"),
            models.CheckConstraint(
                condition=models.Q(code__regex="^[a-z_]+$"),
                name="decline_has_a_code",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.evaluator_id}"
