"""Looking after runs: sending attempts out, taking lost ones back, ending what cannot go on.

The broker is only a bell. Whatever it loses is sent again from the outbox; whoever is lost is replaced
by the next attempt, whose higher token shuts the lost one out.
"""

import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce, Now
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.errors import EXPLANATIONS, Code
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, quiet_database, refuse
from leaderboard.ledger.actions import record_grant
from leaderboard.submissions import dispatch
from leaderboard.submissions.continuation import needs_key_no_more
from leaderboard.submissions.models import Outbox, Run, Submission, seconds_from_now
from leaderboard.submissions.states import LIVE, RunState

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 300.0


def put_out(run: Run, *, pause_seconds: float = 0.0) -> None:
    """Record the grant and the outbox row of a queued run's token. In the transaction that queues it."""
    job = dispatch.job(run)
    record_grant(run=run.pk, token=run.token, recipient=job.recipient, sets=job.sets, digest=job.grant)
    Outbox.objects.create(run=run, token=run.token, payload=job.payload, due=seconds_from_now(pause_seconds))


def ring_now(run: Run) -> None:
    """Send a run's job as soon as its transaction is over; where that fails, the next drain does it."""

    def ring() -> None:
        with suppress(SiteError), quiet_database(), transaction.atomic():
            outbox = Outbox.objects.due().select_for_update(of=("self",), skip_locked=True).filter(run=run).first()
            if outbox is not None:
                _ring(outbox)

    transaction.on_commit(ring)


def drain_outbox() -> int:
    """Send every job that is due: first time, or again because nobody has begun it. Returns how many."""
    sent = 0
    with transaction.atomic():
        rows = Outbox.objects.due().select_related("run__submission")
        for outbox in rows.select_for_update(of=("self",), skip_locked=True)[:500]:
            if not _ring(outbox):
                break
            sent += 1
    return sent


def _ring(outbox: Outbox) -> bool:
    """Send, then note it: a crash in between sends twice, which evaluators drop; never not at all."""
    if not bell(lambda: dispatch.ring(outbox)):
        return False
    due = seconds_from_now(settings.RING_SECONDS)
    Outbox.objects.filter(pk=outbox.pk).update(sent_at=Coalesce("sent_at", Now()), due=due)
    return True


def bell(ring: Callable[[], None]) -> bool:
    """Ring, and say whether the broker was there."""
    try:
        ring()
    except (BrokerAway, OSError) as failure:
        logger.warning("the broker is away: %s", type(failure).__name__)
        return False
    return True


def reap() -> int:
    """Take back every run whose lease or deadline is over. Two reapers at once never take the same one."""
    taken = 0
    with transaction.atomic():
        overdue = Run.objects.overdue().select_for_update(of=("self",), skip_locked=True)
        for run in overdue.select_related("submission")[:500]:
            _take_back(run)
            taken += 1
    erase_old_keys()
    return taken


def _take_back(run: Run) -> None:
    late = Run.objects.filter(pk=run.pk, deadline__lt=Now()).exists()
    if late:
        fail(run, Code.NOT_STARTED if run.state == RunState.QUEUED else Code.DEADLINE)
    else:
        retry_or_fail(run, Code.LOST)


def retry_or_fail(run: Run, code: Code) -> None:
    """After a lost or failed attempt: the next one where the code allows it and attempts are left."""
    if EXPLANATIONS[code].retried and run.attempts < settings.MAX_ATTEMPTS and run.state in LIVE:
        pause = 0.0 if code is Code.LOST else min(LONGEST_PAUSE_SECONDS, 2.0**run.attempts)
        _next_attempt(run, attempts=run.attempts + 1, pause_seconds=pause)
    else:
        fail(run, code)


def _next_attempt(run: Run, *, attempts: int, pause_seconds: float) -> None:
    run.move(
        RunState.QUEUED,
        token=run.token + 1,
        attempts=attempts,
        worker="",
        evaluator=None,
        claimed=None,
        phase="",
        code="",
        fault="",
        ended_at=None,
        queued_at=Now(),
        deadline=seconds_from_now(settings.QUEUE_SECONDS),
        done=sum(row.counted for row in run.outcomes.all()),
    )
    put_out(run, pause_seconds=pause_seconds)


def fail(run: Run, code: Code) -> None:
    """End a run without a score; whose fault it was follows from the code. Outcomes are kept."""
    run.move(RunState.FAILED, code=code.value, fault=EXPLANATIONS[code].fault.value)
    if needs_key_no_more(code):
        erase_key(run)


def erase_key(run: Run) -> None:
    """Forget the endpoint's sealed API key: the run has ended."""
    Submission.objects.filter(pk=run.submission_id).erase_keys()


def erase_old_keys() -> int:
    """Erase the sealed keys of runs that failed longer ago than the grace time. Returns how many."""
    failed = Run.objects.filter(state=RunState.FAILED, ended_at__lt=seconds_from_now(-settings.KEY_GRACE_SECONDS))
    return Submission.objects.with_key().filter(runs__in=failed).erase_keys()


def requeue(*, run: UUID) -> Run:
    """Queue a failed run again, with the items that are left. Raises ``not_now`` for one that has not failed."""
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if locked.state != RunState.FAILED:
            raise refuse(Refusal.NOT_NOW)
        queue_again(locked)
    return locked


def queue_again(run: Run) -> None:
    """Queue a failed run, which is locked, with the items that are left."""
    _next_attempt(run, attempts=1, pause_seconds=0.0)
    ring_now(run)


def cancel(*, run: UUID) -> Run:
    """Withdraw a run. Raises ``not_now`` where it is too late; reports of its worker are dropped from here on."""
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is None:
            raise refuse(Refusal.NOT_FOUND)
        if not locked.is_cancellable:
            raise refuse(Refusal.NOT_NOW)
        locked.move(RunState.CANCELLED)
        erase_key(locked)
    return locked


def graded(*, pair: SetPair) -> list[UUID]:
    """The runs on a pair that wait for the close of their cohort.

    Also such as the board's grader has not graded again: who keeps their answers may never come back.
    """
    return list(Run.objects.filter(submission__pair=pair, state=RunState.GRADED).values_list("pk", flat=True))


def is_due(*, pair: SetPair) -> bool:
    """Whether the clock closes the cohort of a pair: its first run has waited for as long as one is open."""
    waiting = Run.objects.waiting(older_than_seconds=settings.COHORT_SECONDS).filter(submission__pair=pair)
    return settings.COHORT_SECONDS > 0 and waiting.exists()


def mark_ranked(*, run_ids: Collection[UUID | str]) -> int:
    """Move the graded runs of a cohort that is closed to ranked; returns how many there were."""
    moved = 0
    with transaction.atomic():
        # In one order everywhere, so that two closes at once cannot wait for each other.
        for run in Run.objects.select_for_update().filter(pk__in=run_ids, state=RunState.GRADED).order_by("pk"):
            run.move(RunState.RANKED)
            moved += 1
    return moved


def ring_unranked() -> int:
    """Ask again for rankings that lack what maintainers have said, and for closes that are due. Returns how many."""
    pairs = set(SetPair.objects.filter(stale=True).values_list("slug", flat=True))
    if settings.COHORT_SECONDS:
        due = Run.objects.waiting(older_than_seconds=max(settings.COHORT_SECONDS, settings.LEASE_SECONDS))
        pairs |= set(due.values_list("submission__pair__slug", flat=True))
    return sum(bell(lambda pair=pair: dispatch.ring_rebuild(pair)) for pair in sorted(pairs))  # type: ignore[misc]


def ring_ranking(pair: str) -> None:
    """Ask for a new ranking of a pair; where the broker is away, the housekeeping does it later."""
    bell(lambda: dispatch.ring_rebuild(pair))
