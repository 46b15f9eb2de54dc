"""Models, submissions and runs. No column here could hold the text of an item: outcomes are one byte each."""

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Lower, Now
from django.urls import reverse

from evaluator.contract import Outcome, SetCounts
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import HEX32, NAME, ItemSet, SetPair
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions.states import CANCELLABLE, FINAL, LIVE, Attempt, LostStep, RunState, check_step

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
SERVED_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$"
COUNTED = (Outcome.RIGHT, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.TRUNCATED)
"""Outcomes that close an item. One that is not counted stays open and is asked again."""


def seconds_from_now(seconds: float) -> models.Expression:
    """A moment by the database's clock, which is the only clock that leases are measured with."""
    span = models.Value(timedelta(seconds=seconds), output_field=models.DurationField())
    return models.ExpressionWrapper(Now() + span, output_field=models.DateTimeField())


class Model(models.Model):
    """A model as the board names it. Names are plain ASCII and unique without regard to case."""

    name = models.CharField(max_length=80, unique=True)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="models")
    open_weights = models.BooleanField(default=False)
    parameters = models.PositiveBigIntegerField(null=True, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(name__regex=MODEL_NAME), name="model_name_is_plain"),
            models.CheckConstraint(
                condition=models.Q(parameters__isnull=True) | models.Q(parameters__gte=1), name="model_has_parameters"
            ),
            models.UniqueConstraint(Lower("name"), name="model_name_unique_without_case"),
        )

    def __str__(self) -> str:
        return self.name


class Submission(models.Model):
    """One request to evaluate a model on a pair: a checkpoint by name, or an endpoint.

    ``sealed_key`` is the endpoint's API key, HPKE-sealed to ``sealed_to``; it is erased when the run ends.
    ``fingerprint`` is the digest of what was asked, so that a repeated key with another body is seen.
    """

    class Kind(models.TextChoices):
        """How the model is reached."""

        CHECKPOINT = "checkpoint"
        ENDPOINT = "endpoint"

    model = models.ForeignKey(Model, on_delete=models.PROTECT, related_name="submissions")
    submitted_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="submissions")
    pair = models.ForeignKey(SetPair, on_delete=models.PROTECT, related_name="submissions")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    checkpoint = models.CharField(max_length=80, blank=True)
    url = models.CharField(max_length=2000, blank=True)
    served_model = models.CharField(max_length=200, blank=True)
    api = models.CharField(max_length=11, blank=True)
    sealed_key = models.CharField(max_length=16_000, blank=True)
    sealed_to = models.ForeignKey(Evaluator, on_delete=models.PROTECT, null=True, related_name="+")
    idempotency_key = models.CharField(max_length=100)
    fingerprint = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["submitted_by", "idempotency_key"], name="submission_once_per_key"),
            models.CheckConstraint(
                condition=models.Q(
                    kind="checkpoint", checkpoint__regex=NAME, url="", served_model="", api="", sealed_key=""
                )
                | models.Q(
                    kind="endpoint",
                    checkpoint="",
                    url__regex="^https?://",
                    served_model__regex=SERVED_NAME,
                    api__in=["completions", "chat"],
                ),
                name="submission_is_one_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(sealed_key__regex=r"^[A-Za-z0-9+/]*={0,2}$"), name="submission_key_is_sealed"
            ),
            models.CheckConstraint(condition=models.Q(fingerprint__regex=HEX32), name="submission_has_fingerprint"),
        )

    def __str__(self) -> str:
        return f"{self.model_id} on {self.pair_id}"

    @property
    def run(self) -> "Run":
        """The run that this submission asked for."""
        return self.runs.get()


class RunQuerySet(models.QuerySet["Run"]):
    """Runs, by where they stand and who may see them."""

    def locked(self, run: str | uuid.UUID) -> "Run | None":
        """The run, locked until the transaction ends: all that changes a run happens under this lock."""
        return self.select_for_update(of=("self",)).filter(pk=run).first()

    def overdue(self) -> "RunQuerySet":
        """Runs whose lease or deadline is over, by the database's clock."""
        lost = models.Q(state__in=LIVE, lease_expires__lt=Now())
        late = models.Q(state__in=[RunState.QUEUED, *LIVE], deadline__lt=Now())
        return self.filter(lost | late)

    def unranked(self, *, older_than_seconds: float) -> "RunQuerySet":
        """Graded runs that no ranking holds although they ended a while ago, and no newer run replaced them."""
        newer = Run.objects.filter(
            submission__model=models.OuterRef("submission__model"),
            submission__pair=models.OuterRef("submission__pair"),
            state=RunState.RANKED,
            queued_at__gte=models.OuterRef("queued_at"),
        )
        waiting = self.filter(state=RunState.GRADED, ended_at__lt=seconds_from_now(-older_than_seconds))
        return waiting.exclude(models.Exists(newer))

    def visible_to(self, user: User | None) -> "RunQuerySet":
        """Ranked runs are everybody's; any other is its submitter's and the staff's."""
        if user is not None and user.is_staff:
            return self
        public = models.Q(state=RunState.RANKED)
        return self.filter(public if user is None else public | models.Q(submission__submitted_by=user))

    def with_facts(self) -> "RunQuerySet":
        """With all that a run's page shows."""
        return self.select_related(
            "submission__model__organisation", "submission__pair__public", "submission__pair__private", "evaluator"
        )


class Run(models.Model):
    """One evaluation of a submission, over as many attempts as it takes.

    ``token`` fences attempts: it grows with each, and only reports that carry it change anything.
    ``worker`` is who began the attempt, empty until somebody has. ``claimed`` are the counts of a
    Finished that came before the last outcomes. Lease and deadline are by the database's clock.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="runs")
    evaluator = models.ForeignKey(Evaluator, on_delete=models.PROTECT, null=True, related_name="runs")
    pool = models.CharField(max_length=80)
    state = models.CharField(max_length=9, choices=[(state.value, state.value) for state in RunState])
    token = models.PositiveIntegerField(default=1)
    worker = models.CharField(max_length=32, blank=True)
    attempts = models.PositiveIntegerField(default=1)
    queued_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    lease_expires = models.DateTimeField(null=True)
    deadline = models.DateTimeField()
    code = models.CharField(max_length=40, blank=True)
    fault = models.CharField(max_length=6, blank=True)
    phase = models.CharField(max_length=7, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField()
    stale_reports = models.PositiveIntegerField(default=0)
    protocol_digest = models.CharField(max_length=64, blank=True)
    claimed: "models.JSONField[list[dict[str, Any]] | None, list[dict[str, Any]] | None]" = models.JSONField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in RunState]), name="run_state_is_known"
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=sorted(LIVE), lease_expires__isnull=False)
                | ~models.Q(state__in=sorted(LIVE)) & models.Q(lease_expires__isnull=True),
                name="run_has_a_lease_while_it_is_live",
            ),
            models.CheckConstraint(
                condition=models.Q(state="failed", fault__in=["ours", "theirs"], code__regex="^[a-z_]+$")
                | ~models.Q(state="failed") & models.Q(code="", fault=""),
                name="run_has_a_code_when_it_failed",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=False, state__in=["graded", *sorted(FINAL)])
                | models.Q(ended_at__isnull=True, state__in=["queued", *sorted(LIVE)]),
                name="run_has_an_end_when_it_ended",
            ),
            models.CheckConstraint(condition=models.Q(done__lte=models.F("total")), name="run_done_within_total"),
            models.CheckConstraint(
                condition=models.Q(token__gte=1, attempts__gte=1, worker__regex="^([0-9a-f]{32})?$"),
                name="run_attempt_is_well_formed",
            ),
        )
        indexes = (
            models.Index(fields=["state", "lease_expires"], name="run_by_lease"),
            models.Index(fields=["submission", "state"], name="run_by_submission"),
        )

    def __str__(self) -> str:
        return str(self.pk)

    def get_absolute_url(self) -> str:
        """The run's page."""
        return reverse("run", args=[self.pk])

    @property
    def attempt(self) -> Attempt:
        """What the fence compares reports with."""
        return Attempt(self.token, self.worker)

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in FINAL

    @property
    def is_cancellable(self) -> bool:
        """Whether it can still be withdrawn."""
        return self.state in CANCELLABLE

    @property
    def percent(self) -> int:
        """Progress in steps of ten percent: finer steps would tell how long single sealed items took."""
        return self.done * 10 // self.total * 10

    def move(self, new: RunState, **changes: Any) -> None:
        """Take one step of the table: an update that names the old state, and whose count is checked.

        Raises :class:`IllegalStep` where the table has none, :class:`LostStep` where another was first.
        """
        old = RunState(self.state)
        check_step(old, new)
        if new not in LIVE:
            changes.setdefault("lease_expires", None)
        if new is RunState.GRADED or (new in FINAL and old is not RunState.GRADED):
            changes.setdefault("ended_at", Now())
        if not Run.objects.filter(pk=self.pk, state=old).update(state=new, **changes):
            raise LostStep(f"{old} → {new}")
        self.refresh_from_db()

    def change(self, **changes: Any) -> None:
        """Write fields that are not the state. Only for a run that is locked."""
        Run.objects.filter(pk=self.pk).update(**changes)
        self.refresh_from_db()

    def renew(self, *, lease_seconds: float) -> None:
        """Extend the lease from now, where there is one."""
        Run.objects.filter(pk=self.pk, state__in=LIVE).update(lease_expires=seconds_from_now(lease_seconds))


class RunOutcomes(models.Model):
    """All outcomes of one run on one set: one byte an item, 0 for open, else the value of ``Outcome``.

    The byte string is never shown: not on a page, in the API, a log or an export.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outcomes")
    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="+")
    packed = models.BinaryField()
    n = models.PositiveIntegerField()
    right = models.PositiveIntegerField(default=0)
    wrong = models.PositiveIntegerField(default=0)
    no_answer = models.PositiveIntegerField(default=0)
    truncated = models.PositiveIntegerField(default=0)
    not_counted = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "item_set"], name="outcomes_once_per_set"),
            models.CheckConstraint(
                condition=models.Q(
                    n=models.Func(models.F("packed"), function="octet_length", output_field=models.IntegerField())
                ),
                name="outcomes_one_byte_per_item",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    n__gte=models.F("right")
                    + models.F("wrong")
                    + models.F("no_answer")
                    + models.F("truncated")
                    + models.F("not_counted")
                ),
                name="outcomes_within_n",
            ),
        )

    def __str__(self) -> str:
        return f"{self.run_id}: {self.item_set_id}"

    @property
    def counted(self) -> int:
        """How many items have an outcome that closes them."""
        return self.right + self.wrong + self.no_answer + self.truncated

    @property
    def is_complete(self) -> bool:
        """Whether no item is open."""
        return self.counted == self.n

    def closed(self) -> list[int]:
        """The indices of the items that need not be asked again."""
        return [index for index, value in enumerate(bytes(self.packed)) if value in COUNTED]

    def merge(self, pairs: Iterable[tuple[int, Outcome]]) -> None:
        """Write outcomes down, not saved. The first that closes an item stays: none is counted twice."""
        packed = bytearray(self.packed)
        for index, outcome in pairs:
            if packed[index] not in COUNTED:
                packed[index] = outcome
        self.packed = bytes(packed)
        for outcome in Outcome:
            setattr(self, outcome.name.lower(), packed.count(outcome))

    def counts_without(self, before: frozenset[int]) -> SetCounts:
        """The outcomes of the items that were still open before the current attempt."""
        now = bytes(value for index, value in enumerate(bytes(self.packed)) if index not in before)
        counts = {outcome.name.lower(): now.count(outcome) for outcome in Outcome}
        return SetCounts(name=self.item_set.name, n=self.n, **counts)


class Receipt(models.Model):
    """A report that was taken, so that it is never applied twice."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="receipts")
    token = models.PositiveIntegerField()
    worker = models.CharField(max_length=32)
    sequence = models.PositiveIntegerField()
    received = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "token", "worker", "sequence"], name="receipt_once"),)

    def __str__(self) -> str:
        return f"{self.run_id} #{self.token}.{self.sequence}"


class OutboxQuerySet(models.QuerySet["Outbox"]):
    """Job specifications that are to reach an evaluator."""

    def due(self) -> "OutboxQuerySet":
        """Those that nobody has begun, and whose (next) sending is due by the database's clock."""
        waiting = self.filter(run__state=RunState.QUEUED, run__token=models.F("token"), due__lte=Now())
        return waiting.order_by("due", "pk")


class Outbox(models.Model):
    """One attempt's job specification, written in the transaction that made the attempt.

    It is sent again and again until an evaluator has begun: the database is the truth, the broker the bell.
    ``payload`` lacks the sealed API key, which stays in one place only.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="outbox")
    token = models.PositiveIntegerField()
    payload: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    due = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    objects = OutboxQuerySet.as_manager()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["run", "token"], name="outbox_once_per_attempt"),)
        verbose_name_plural = "outbox"

    def __str__(self) -> str:
        return f"{self.run_id} #{self.token}"
