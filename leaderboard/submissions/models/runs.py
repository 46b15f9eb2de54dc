"""Runs: one evaluation of a submission each, and how an attempt is fenced."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.urls import reverse

from evaluator import protocols
from leaderboard.accounts.models import Organisation, User
from leaderboard.ledger.models import Evaluator
from leaderboard.state_machine import LostStep, check_step
from leaderboard.submissions.models.systems import Submission
from leaderboard.submissions.states import (
    ANNOUNCED,
    CANCELLABLE,
    FINAL,
    LIVE,
    STEPS,
    Attempt,
    RunState,
)

PAIR_WITHDRAWN = "pair_withdrawn"
"""Code that explains a run that was cancelled because its pair was withdrawn."""
SAME_WEIGHTS = "same_weights"
"""Code that explains a run that ended because its weights have a run already."""


def seconds_from_now(seconds: float) -> models.Expression:
    """Return a moment by the database's clock, by which all leases are measured."""
    span = models.Value(timedelta(seconds=seconds), output_field=models.DurationField())
    return models.ExpressionWrapper(Now() + span, output_field=models.DateTimeField())


def lease_end() -> models.Expression:
    """Return when a lease ends that is granted or extended now."""
    return seconds_from_now(settings.LEASE_SECONDS)


class RunQuerySet(models.QuerySet["Run"]):
    """Runs, by state and by visibility."""

    def locked(
        self,
        run: str | uuid.UUID,
        *,
        submitted: bool = False,
        **facts: models.Expression | models.Subquery,
    ) -> "Run | None":
        """Return the run, locked until the transaction ends. A run changes only under this lock.

        With ``submitted`` its submission, pair and private set are read in the same query, but for
        what is long of the set. ``facts`` are annotations, read in that query too.
        """
        locking = self.select_for_update(of=("self",))
        runs = locking.filter(pk=run).annotate(**facts)
        if submitted:
            runs = runs.select_related("submission__pair__private")
            private = "submission__pair__private"
            runs = runs.defer(f"{private}__manifest", f"{private}__evidence")
        return runs.first()

    def overdue(self, *, recorded_until: datetime | None = None) -> "RunQuerySet":
        """Runs whose deadline is over, or whose lease was over at a moment: else it is now.

        All by the database's clock.
        """
        lost = models.Q(state__in=LIVE, lease_expires__lt=recorded_until or Now())
        unended = [RunState.QUEUED, *LIVE]
        late = models.Q(state__in=unended, deadline__lt=Now())
        return self.filter(lost | late)

    def undecided(self) -> "RunQuerySet":
        """Graded runs whose cohort is still open; one under embargo is decided and stays graded."""
        graded = self.official().filter(state=RunState.GRADED)
        return graded.filter(submission__embargo__decided_at=None)

    def waiting(self, *, older_than_seconds: float) -> "RunQuerySet":
        """Runs that were graded longer ago and whose cohort is still open."""
        before = seconds_from_now(-older_than_seconds)
        return self.undecided().filter(ended_at__lt=before)

    def unended(self) -> "RunQuerySet":
        """Runs to which something happens yet, as ``Run.is_final`` denies it."""
        unranked = models.Q(submission__pair__practice=True)
        unranked |= models.Q(submission__occasion__isnull=False)
        ended = models.Q(unranked, state=RunState.GRADED)
        return self.exclude(state__in=FINAL).exclude(ended)

    def official(self) -> "RunQuerySet":
        """Runs that authors submitted to pairs that are ranked: no practice, no watch list."""
        return self.filter(submission__pair__practice=False, submission__occasion=None)

    def of_authors(self) -> "RunQuerySet":
        """All runs but those of the watch list."""
        return self.filter(submission__occasion=None)

    def visible_to(self, user: User | None) -> "RunQuerySet":
        """Runs that a user may see: ranked ones, and their own; maintainers see all.

        A practice run is seen by every member of its model's organisation.
        """
        ranked = models.Q(state=RunState.RANKED)
        if user is None:
            return self.filter(ranked)
        if user.is_staff:
            return self
        theirs = models.Q(submission__submitted_by=user)
        practice = models.Q(
            submission__pair__practice=True,
            submission__model__organisation__in=Organisation.objects.filter(members=user),
        )
        return self.filter(ranked | theirs | practice)

    def owned_by(self, user: User) -> "RunQuerySet":
        """Runs that a user may change: their own; maintainers may change all."""
        return self if user.is_staff else self.filter(submission__submitted_by=user)

    def of_weights(self, run: "Run") -> "RunQuerySet":
        """Other runs of the same weights on the same pair, by the same protocol.

        A run that ended without a result has none of them, and neither has one that was retracted
        for a fault of the setup or the evaluator. Earlier releases did not report the layers.
        """
        submission = run.submission
        others = self.filter(
            weights=run.weights,
            submission__pair=submission.pair_id,
            submission__protocol=submission.protocol,
            same_as=None,
        )
        if run.layers is not None:
            equal = models.Q(layers=run.layers)
            unknown = models.Q(layers=None)
            others = others.filter(equal | unknown)
        others = others.exclude(state__in=[RunState.FAILED, RunState.CANCELLED])
        valid = others.exclude(retracted_why__in=Run.NO_TEST)
        return valid.exclude(pk=run.pk)

    def with_facts(self) -> "RunQuerySet":
        """Runs with all related rows that a run's page shows."""
        return self.select_related(
            "submission__model__organisation",
            "submission__pair__public",
            "submission__pair__private",
            "submission__statements",
            "evaluator",
            "retracted_by",
            "same_as__submission__model__organisation",
            "reply__organisation",
            "submission__embargo__because_of",
        )


class Run(models.Model):
    """One evaluation of a submission, over one or several attempts.

    - ``token`` fences attempts: it grows with each, and only reports that carry it change the run.
    - ``organisation`` had the model when the run was submitted: the run counts as its use. It is
      None for a run of the watch list, which is the maintainers' use.
    - ``worker`` is the process that began the attempt, empty until one has; ``slot`` names the
      queue on which it is answered.
    - ``waiting`` is the code of what every evaluator lacks for a queued run.
    - ``claimed`` are the counts of a Finished report that came before the last outcomes.
    - ``continued`` counts how often its author continued it after a failure.
    - Lease and deadline are by the database's clock.
    - ``artefact`` is the digest of the weights' files, ``weights`` that of their tensors
      (``TensorList``); of a system both are of all ``parts`` together (``contract.Part``).
      ``likelihood_failed`` is the code for which their likelihoods are missing.
    - ``layers`` is as in ``contract.Identified``; ``same_as`` is the earlier run of the same
      weights, where there is one: then this one was ended before it was shown an item.
    - ``record`` is the ``contract.Record`` of the last attempt.
    - A ``retracted`` run is not ranked and counts for no release. The weights of a
      ``post_release`` run were not committed to before the set was released.
    """

    class Retraction(models.TextChoices):
        """Reasons for which maintainers retract a run: one of a list, never free text."""

        WRONG_WEIGHTS = "wrong_weights", "other weights than the named ones were evaluated"
        WRONG_SETUP = "wrong_setup", "the model or its endpoint was set up wrongly"
        EVALUATOR_FAULT = "evaluator_fault", "its evaluator had a fault"
        LEAKED_ITEMS = "leaked_items", "its author had seen sealed items"
        BY_REQUEST = "by_request", "its author asked for it"

    NO_TEST = (Retraction.WRONG_WEIGHTS, Retraction.WRONG_SETUP, Retraction.EVALUATOR_FAULT)
    """Retractions after which a run was no test of its model. One by request still was."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    submission = models.ForeignKey(Submission, on_delete=models.CASCADE, related_name="runs")
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
    )
    evaluator = models.ForeignKey(
        Evaluator,
        on_delete=models.PROTECT,
        null=True,
        related_name="runs",
    )
    pool = models.CharField(max_length=80)
    state = models.CharField(
        max_length=9, choices=[(state.value, state.value) for state in RunState]
    )
    token = models.PositiveIntegerField(default=1)
    worker = models.CharField(max_length=32, blank=True)
    slot = models.PositiveSmallIntegerField(null=True)
    waiting = models.CharField(max_length=40, blank=True)
    attempts = models.PositiveIntegerField(default=1)
    continued = models.PositiveIntegerField(default=0)
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
    written = models.PositiveIntegerField(null=True)
    stale_reports = models.PositiveIntegerField(default=0)
    protocol_digest = models.CharField(max_length=64, blank=True)
    tier = models.CharField(max_length=2, default="T0")
    artefact = models.CharField(max_length=64, blank=True)
    weights = models.CharField(max_length=64, blank=True, default="")
    layers = models.PositiveBigIntegerField(null=True)
    same_as = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="copies",
    )
    record: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    likelihood_failed = models.CharField(max_length=40, blank=True)
    parts: "models.JSONField[list[dict[str, Any]], list[dict[str, Any]]]" = models.JSONField(
        default=list
    )
    tokens_per_item = models.FloatField(null=True)
    retracted_at = models.DateTimeField(null=True)
    retracted_by = models.ForeignKey(
        User,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
    )
    retracted_why = models.CharField(max_length=20, blank=True, choices=Retraction.choices)
    retracted = models.GeneratedField(
        expression=models.ExpressionWrapper(
            models.Q(retracted_at__isnull=False), output_field=models.BooleanField()
        ),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    post_release = models.BooleanField(default=False)
    claimed: "models.JSONField[list[dict[str, Any]] | None, list[dict[str, Any]] | None]" = (
        models.JSONField(null=True)
    )

    objects = RunQuerySet.as_manager()

    # Annotations of the query by which the recorder locks a run.
    is_late: bool
    grant: str | None

    _held: Mapping[str, Any] = {}
    _held_from: RunState | None = None
    _held_step: RunState | None = None

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in RunState]),
                name="run_state_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=sorted(LIVE), lease_expires__isnull=False)
                | ~models.Q(state__in=sorted(LIVE)) & models.Q(lease_expires__isnull=True),
                name="run_has_a_lease_while_it_is_live",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state="failed",
                    fault__in=["ours", "theirs"],
                    code__regex="^[a-z_]+$",
                )
                | ~models.Q(state="failed") & models.Q(code="", fault=""),
                name="run_has_a_code_when_it_failed",
            ),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=False, state__in=["graded", *sorted(FINAL)])
                | models.Q(ended_at__isnull=True, state__in=["queued", *sorted(LIVE)]),
                name="run_has_an_end_when_it_ended",
            ),
            models.CheckConstraint(
                condition=models.Q(done__lte=models.F("total")),
                name="run_done_within_total",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    token__gte=1,
                    attempts__gte=1,
                    worker__regex="^([0-9a-f]{32})?$",
                ),
                name="run_attempt_is_well_formed",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    retracted_at__isnull=True,
                    retracted_by__isnull=True,
                    retracted_why="",
                )
                | models.Q(retracted_at__isnull=False, retracted_by__isnull=False)
                & ~models.Q(retracted_why=""),
                name="run_retraction_is_whole",
            ),
        )
        indexes = (
            models.Index(fields=["state", "lease_expires"], name="run_by_lease"),
            models.Index(fields=["submission", "state"], name="run_by_submission"),
            models.Index(
                fields=["pool", "organisation", "queued_at"],
                condition=models.Q(state=RunState.QUEUED.value),
                name="run_queued_by_organisation",
            ),
            models.Index(
                fields=["weights"],
                condition=~models.Q(weights=""),
                name="run_by_weights",
            ),
            models.Index(
                fields=["submission"],
                condition=models.Q(retracted=True) | models.Q(post_release=True),
                name="run_left_out",
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)

    def get_absolute_url(self) -> str:
        """Return the address of the run's page."""
        return reverse("run", args=[self.pk])

    @property
    def attempt(self) -> Attempt:
        """Return the attempt that reports are compared with."""
        return Attempt(self.token, self.worker)

    @property
    def is_final(self) -> bool:
        """Return True if nothing more happens by itself.

        A graded run for practice or of the watch list is never ranked.
        """
        if self.state == RunState.GRADED:
            return self.submission.pair.practice or self.submission.is_watched
        return self.state in FINAL

    @property
    def has_practised(self) -> bool:
        """Return True for a practice run with a result."""
        return self.state == RunState.GRADED and self.submission.pair.practice

    @property
    def is_graded(self) -> bool:
        """True once every item has an outcome."""
        return self.state in (RunState.GRADED, RunState.RANKED)

    def named_parts(self) -> list[dict[str, Any]]:
        """Return the parts of a system (``contract.Part``), each with its name as submitted."""
        names = {
            "generator": self.submission.asked_name,
            "verifier": self.submission.verifier,
        }
        named = []
        for part in self.parts:
            name = names[part["role"]]
            named.append({"name": name, **part})
        return named

    def part_totals(self) -> dict[str, float]:
        """Return parameters, tokens and seconds of all parts together; empty for a single model."""
        if not self.parts:
            return {}
        totals: dict[str, float] = {}
        for name in ("parameters", "tokens_in", "tokens_out", "seconds"):
            totals[name] = sum(part[name] for part in self.parts)
        return totals

    @property
    def ended_because(self) -> str:
        """Code for which it ended without a score: its own, the withdrawal of its pair, or an
        earlier run of its weights."""
        if self.state == RunState.CANCELLED and self.same_as_id:
            return SAME_WEIGHTS
        withdrawn = self.submission.pair.withdrawn_at
        if self.state != RunState.CANCELLED or not withdrawn or not self.ended_at:
            return self.code
        if self.ended_at >= withdrawn:
            return PAIR_WITHDRAWN
        return self.code

    @property
    def is_cancellable(self) -> bool:
        """Return True if the run can still be withdrawn."""
        return self.state in CANCELLABLE

    @property
    def percent(self) -> int:
        """Progress in steps of ten percent: finer ones would reveal the time of single items."""
        return self.done * 10 // self.total * 10

    @property
    def candidates(self) -> int:
        """Number of candidates that the generator of a system writes in all."""
        return self.total * protocols.get(self.submission.asked_by).samples

    @property
    def written_percent(self) -> int | None:
        """Share of a system's candidates that are written, in steps of ten percent.

        None for a single model, and before the first report of it.
        """
        if self.written is None:
            return None
        return self.written * 10 // self.candidates * 10

    # --- writing: at once, or held until several changes are written together

    def move(self, new: RunState, **changes: Any) -> None:
        """Take one step of the table, and write it at once.

        Raises as :meth:`hold_step` and :meth:`write_held`.
        """
        self.hold_step(new, **changes)
        self.write_held()

    def change(self, **changes: Any) -> None:
        """Write fields that are not the state, at once. Only for a run that is locked."""
        self.hold(**changes)
        self.write_held()

    def hold_step(self, new: RunState, **changes: Any) -> None:
        """Take one step of the table. It is written with what else is held, and before the next.

        So the database sees no other step than those of the table. Raises :class:`IllegalStep`
        where the table has no such step, and as :meth:`write_held`.
        """
        if self._held_from is not None:
            self.write_held()
        old = RunState(self.state)
        check_step(STEPS, old, new)
        if new not in LIVE:
            changes.setdefault("lease_expires", None)
        if new is RunState.GRADED or (new in FINAL and old is not RunState.GRADED):
            changes.setdefault("ended_at", Now())
        self._held_from = old
        self.hold(state=new.value, **changes)
        if new in ANNOUNCED and not self.submission.is_watched:
            self._held_step = new

    def hold(self, **changes: Any) -> None:
        """Change fields that are not the state, in memory until :meth:`write_held`.

        Only for a run that is locked. A field that the database computes is written before it is
        read again.
        """
        self._held = {**self._held, **changes}
        computed = [field.attname for field in Run._meta.concrete_fields if field.generated]
        for name, value in changes.items():
            if hasattr(value, "resolve_expression"):
                computed.append(name)
            else:
                setattr(self, name, value)
        for name in computed:
            self.__dict__.pop(name, None)

    def write_held(self) -> None:
        """Write what is held, in one update that names the state before its step.

        Raises :class:`LostStep` where another process changed the state first.
        """
        if not self._held:
            return
        written = Run.objects.filter(pk=self.pk)
        if self._held_from is not None:
            written = written.filter(state=self._held_from)
        if not written.update(**self._held) and self._held_from is not None:
            raise LostStep(f"{self._held_from} → {self.state}")
        if self._held_step is not None:
            self.state_changes.create(state=self._held_step)
        self._held = {}
        self._held_from = None
        self._held_step = None

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Write what is held before any field is read again."""
        self.write_held()
        super().refresh_from_db(*args, **kwargs)
