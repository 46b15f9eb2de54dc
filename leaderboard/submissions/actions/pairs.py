"""Pairs: withdrawing one in public, and the practice pair that asks a benchmark's public set.

A pair that was registered by mistake is withdrawn while no run on it has a result.
"""

from dataclasses import replace

from django.db import transaction
from django.db.models.functions import Now

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.submissions.actions.attempts import erase_key
from leaderboard.submissions.actions.quotas import refund
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import QuotaEntry, Run
from leaderboard.submissions.states import CANCELLABLE, RunState


def public_only(ask: Ask) -> Ask:
    """Return the request for the public-only run: on a practice pair that asks the public set.

    Its protocol is the one asked for where the practice pair allows it, else the pair's own.
    Raises ``unknown_pair`` and ``no_public_run``.
    """
    pair = SetPair.with_practice.filter(slug=ask.pair).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    practice = pair.public_only()
    if practice is None:
        raise refuse(Refusal.NO_PUBLIC_RUN)
    wanted = ask.protocol or pair.protocol
    is_allowed = wanted in (practice.protocol, *practice.also)
    protocol = wanted if is_allowed else ""
    return replace(ask, pair=practice.slug, protocol=protocol)


def withdraw_pair(*, slug: str, reason: str, by: User) -> SetPair:
    """Withdraw a pair for good, and cancel its runs that wait or are under way.

    The lock on the pair lets no submission in between: one that was first is cancelled, one that
    comes later is refused. Raises ``forbidden``, ``unknown_pair``, ``invalid_field`` for a reason
    outside ``SetPair.Withdrawal``, ``pair_withdrawn`` where it was withdrawn before, and
    ``pair_ranked`` where a run on it is graded or ranked. A practice pair may have graded runs.
    """
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if reason not in SetPair.Withdrawal:
        raise refuse(Refusal.INVALID_FIELD, "reason")
    with transaction.atomic():
        pairs = SetPair.with_practice.select_for_update(of=("self",))
        pair = pairs.filter(slug=slug).first()
        if pair is None:
            raise refuse(Refusal.UNKNOWN_PAIR)
        if pair.withdrawn_at:
            raise refuse(Refusal.PAIR_WITHDRAWN, slug)
        runs = Run.objects.filter(submission__pair=pair)
        under_way = runs.filter(state__in=CANCELLABLE)
        locked = under_way.select_for_update(of=("self",))
        cancelled = list(locked.order_by("pk"))
        graded = runs.filter(state__in=(RunState.GRADED, RunState.RANKED))
        if not pair.practice and graded.exists():
            raise refuse(Refusal.PAIR_RANKED, slug)
        SetPair.with_practice.filter(pk=pair.pk).update(
            withdrawn_at=Now(),
            withdrawn_by=by,
            withdrawn_why=reason,
            stale=True,
        )
        for run in cancelled:
            run.move(RunState.CANCELLED)
            refund(run, QuotaEntry.Reason.WITHDRAWN)
            erase_key(run)
        pair.refresh_from_db()
    return pair
