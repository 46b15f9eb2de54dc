"""Ledger of quotas: official runs of each organisation on each benchmark, charged and refunded."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.utils import timezone

from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.submissions.models.runs import Run


class QuotaEntryQuerySet(models.QuerySet["QuotaEntry"]):
    """Entries of all organisations."""

    def about(self, organisation: Organisation) -> Self:
        """Entries of an organisation, and the limits that count for all."""
        theirs = models.Q(organisation=organisation)
        of_all = models.Q(organisation=None)
        return self.filter(theirs | of_all)

    def seen_by(self, user: User, organisation: Organisation | None) -> Self:
        """Entries that a user may see about their ``organisation``; maintainers see all."""
        if user.is_staff:
            return self
        return self.about(organisation) if organisation else self.none()

    def charges(
        self,
        whose: Organisation | User,
        pair: SetPair,
        *,
        days: float,
    ) -> Self:
        """Charges of the last ``days`` days that were not refunded, the oldest first.

        Those of an organisation, or of the runs that a user submitted for any organisation.
        """
        is_user = isinstance(whose, User)
        column = "run__submission__submitted_by" if is_user else "organisation"
        own = self.filter(kind=QuotaEntry.Kind.CHARGE, pair=pair, **{column: whose})
        since = timezone.now() - timedelta(days=days)
        recent = own.filter(at__gt=since)
        return recent.filter(refunded_by=None).order_by("at", "pk")

    def outstanding(self, run: Run) -> "QuotaEntry | None":
        """Return the charge of a run that was not refunded; None where there is none."""
        charges = self.filter(
            kind=QuotaEntry.Kind.CHARGE,
            run=run,
            refunded_by=None,
        )
        return charges.order_by("-pk").first()

    def limits(self) -> Self:
        """Limits that maintainers set, the one that counts first where several match.

        One of an organisation comes before one of a benchmark, both together before either, and
        the newest before those that it replaces.
        """
        of_organisation = models.F("organisation").desc(nulls_last=True)
        of_pair = models.F("pair").desc(nulls_last=True)
        limits = self.filter(kind=QuotaEntry.Kind.LIMIT)
        return limits.order_by(of_organisation, of_pair, "-pk")

    def limits_of(self, organisation: Organisation, pair: SetPair) -> Self:
        """Limits for an organisation on a pair, the one that counts first.

        Where there is none, the setting's counts.
        """
        theirs = models.Q(organisation=organisation) | models.Q(organisation=None)
        on_pair = models.Q(pair=pair) | models.Q(pair=None)
        return self.limits().filter(theirs, on_pair)


class QuotaEntry(models.Model):
    """Line of the ledger, final once it is written: triggers refuse changes.

    - A *charge* is for one official run, and a *refund* names the charge that it cancels.
    - A *limit* sets ``runs`` for an organisation, a benchmark or both; NULL stands for all.
    - ``by`` is the name of the account that caused it, as text, so that it outlives the account;
      empty for what the site did by itself.
    """

    class Kind(models.TextChoices):
        """Kind of an entry."""

        CHARGE = "charge"
        REFUND = "refund"
        LIMIT = "limit"

    class Reason(models.TextChoices):
        """Reasons of charges and refunds. That of a limit is the maintainer's own text."""

        SUBMITTED = "submitted", "submitted"
        QUEUED_AGAIN = "queued_again", "queued again after a refund"
        SHOWN_AFTER_ALL = "shown_after_all", "cancelled, but an item had been shown"
        OUR_FAULT = "our_fault", "failed by the fault of the site or its evaluators"
        NOTHING_SHOWN = "nothing_shown", "cancelled before any item was shown"
        SAME_WEIGHTS = "same_weights", "the weights have a run already"
        WITHDRAWN = "pair_withdrawn", "maintainers withdrew the benchmark"

    at = models.DateTimeField(default=timezone.now)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        null=True,
        related_name="quota_entries",
    )
    pair = models.ForeignKey(
        SetPair,
        on_delete=models.PROTECT,
        null=True,
        related_name="quota_entries",
    )
    run = models.ForeignKey(
        Run,
        on_delete=models.PROTECT,
        null=True,
        related_name="quota_entries",
    )
    kind = models.CharField(max_length=6, choices=Kind.choices)
    runs = models.PositiveIntegerField(null=True)
    refund_of = models.OneToOneField(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="refunded_by",
    )
    reason = models.CharField(max_length=200)
    by = models.CharField(max_length=40, blank=True)

    objects = QuotaEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "quota entries"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(kind="limit", runs__isnull=False, run__isnull=True)
                | models.Q(
                    kind__in=["charge", "refund"],
                    runs__isnull=True,
                    run__isnull=False,
                    organisation__isnull=False,
                    pair__isnull=False,
                ),
                name="quota_entry_is_one_kind",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="refund", refund_of__isnull=False)
                | ~models.Q(kind="refund") & models.Q(refund_of__isnull=True),
                name="quota_refund_names_its_charge",
            ),
            models.CheckConstraint(condition=~models.Q(reason=""), name="quota_entry_has_a_reason"),
        )
        indexes = (
            models.Index(fields=["organisation", "pair", "at"], name="quota_of_organisation"),
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason_words}"

    @property
    def reason_words(self) -> str:
        """Reason in words."""
        if self.kind == self.Kind.LIMIT:
            return self.reason
        reasons = dict(self.Reason.choices)
        return reasons.get(self.reason, "")
