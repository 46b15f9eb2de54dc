"""Quotas: official runs of an organisation on a benchmark, as the ledger has them.

A run is charged when it is submitted, and refunded where it ends by our fault, before any item was
shown, or because its weights have a run already. A run that is queued again after a refund is
charged again. No user has more runs for being in several organisations: the limit also holds for
all that one user submits. Charges older than ``QUOTA_DAYS`` count no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Subquery

from leaderboard.accounts.actions import record_act
from leaderboard.accounts.models import Organisation, User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry
from leaderboard.submissions.admission import QuotaUse
from leaderboard.submissions.models import QuotaEntry, Run
from leaderboard.submissions.states import RunState

MOST_RUNS = 100_000


@dataclass(frozen=True)
class PairQuota:
    """Quota of an organisation on one benchmark."""

    pair: SetPair
    use: QuotaUse


def is_official(pair: SetPair) -> bool:
    """Return True for a benchmark whose runs are counted: its private set is sealed."""
    return pair.private.sealed


def quota_use(
    organisation: Organisation,
    pair: SetPair,
    by: User | None = None,
) -> QuotaUse:
    """Return the official runs that an organisation has used, and its limit.

    The same limit holds for all runs that ``by`` submitted, for whichever organisation. Where these
    are more, they are returned.
    """
    columns = quota_columns(organisation, pair, by)
    itself = SetPair.with_practice.filter(pk=pair.pk)
    row = itself.annotate(**columns).values(*columns).get()
    return quota_use_of(row)


def quota_columns(
    organisation: Organisation,
    pair: SetPair,
    by: User | None = None,
) -> dict[str, Subquery]:
    """Return what :func:`quota_use` is computed from, to annotate the pair with."""
    charges = partial(QuotaEntry.objects.charges, pair=pair, days=settings.QUOTA_DAYS)
    limits = QuotaEntry.objects.limits_of(organisation, pair)
    columns = {
        "quota_limit": Subquery(limits.values("runs")[:1]),
        "charged": ArraySubquery(charges(organisation).values("at")),
    }
    if by is not None:
        columns["charged_for_user"] = ArraySubquery(charges(by).values("at"))
    return columns


def quota_use_of(row: Mapping[str, Any]) -> QuotaUse:
    """Return the use of a quota from the columns of :func:`quota_columns`."""
    days = settings.QUOTA_DAYS
    limit = row["quota_limit"]
    if limit is None:
        limit = settings.QUOTA_RUNS
    of_organisation = row["charged"]
    of_user = row.get("charged_for_user", [])
    moments = max(of_organisation, of_user, key=len)
    used = len(moments)
    next_free = None
    if 0 < limit <= used:
        next_free = moments[used - limit] + timedelta(days=days)
    return QuotaUse(used, limit, days, next_free)


def quotas_of(organisation: Organisation | None, by: User | None = None) -> Sequence[PairQuota]:
    """Return an organisation's quota on each benchmark that takes submissions, newest first.

    With ``by`` it is what is left to this user.
    """
    if organisation is None:
        return []
    pairs = SetPair.objects.filter(withdrawn_at=None).select_related("private")
    quotas = []
    for pair in pairs.order_by("-pk"):
        if is_official(pair):
            use = quota_use(organisation, pair, by)
            quotas.append(PairQuota(pair, use))
    return quotas


def charge(run: Run, reason: QuotaEntry.Reason) -> None:
    """Charge a run, unless it is charged already or no quota counts it.

    The watch list is the maintainers': it counts for no organisation.
    """
    submission = run.submission
    if submission.is_watched or not is_official(submission.pair):
        return
    is_new = reason == QuotaEntry.Reason.SUBMITTED
    if not is_new and QuotaEntry.objects.outstanding(run):
        return
    QuotaEntry.objects.create(
        kind=QuotaEntry.Kind.CHARGE,
        organisation=submission.model.organisation,
        pair=submission.pair,
        run=run,
        reason=reason,
        by=submission.submitted_by.username if is_new else "",
    )


def refund(run: Run, reason: QuotaEntry.Reason) -> None:
    """Refund the charge of a run, which is locked, where it has one."""
    charged = QuotaEntry.objects.outstanding(run)
    if charged is None:
        return
    QuotaEntry.objects.create(
        kind=QuotaEntry.Kind.REFUND,
        organisation_id=charged.organisation_id,
        pair_id=charged.pair_id,
        run=run,
        refund_of=charged,
        reason=reason,
    )


def refund_unshown(run: Run) -> None:
    """Refund a cancelled run of which no item was shown."""
    exposures = Entry.objects.filter(run=run.pk, kind="exposure")
    if not exposures.exists():
        refund(run, QuotaEntry.Reason.NOTHING_SHOWN)


def charge_shown(run: Run) -> None:
    """Charge a cancelled run again whose evaluator reports only now that an item was shown."""
    if run.state == RunState.CANCELLED and run.same_as_id is None:
        refunded = QuotaEntry.objects.filter(run=run, reason=QuotaEntry.Reason.NOTHING_SHOWN)
        if refunded.exists():
            charge(run, QuotaEntry.Reason.SHOWN_AFTER_ALL)


def set_limit(
    *,
    organisation: str = "",
    pair: str = "",
    runs: int,
    reason: str,
    by: User,
) -> QuotaEntry:
    """Set the official runs for an organisation, a benchmark or both; an empty name stands for all.

    The newest limit counts, and one of an organisation before one of a benchmark. Raises
    ``forbidden``, ``unknown_organisation``, ``unknown_pair`` and ``invalid_field``.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    reason = reason.strip()
    if not 0 <= runs <= MOST_RUNS:
        raise refuse(Refusal.INVALID_FIELD, "runs")
    is_readable = len(reason) <= 200 and reason.isprintable()
    if not reason or not is_readable:
        raise refuse(Refusal.INVALID_FIELD, "reason")
    of_organisation = Organisation.objects.filter(name__iexact=organisation).first()
    if organisation and of_organisation is None:
        raise refuse(Refusal.UNKNOWN_ORGANISATION)
    of_pair = SetPair.objects.filter(slug=pair).first()
    if pair and of_pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    subject = f"{organisation or 'all'} on {pair or 'all'}: {runs}"
    record_act(actor=by.username, act="set_quota", subject=subject)
    return QuotaEntry.objects.create(
        kind=QuotaEntry.Kind.LIMIT,
        organisation=of_organisation,
        pair=of_pair,
        runs=runs,
        reason=reason,
        by=by.username,
    )
