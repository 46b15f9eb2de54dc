"""Attempts at a run: making one, ending one, and what follows a lost or failed one.

A lost attempt is replaced by the next one, whose higher token shuts the lost one out. No token is
used twice, also where the database is an older copy that lacks the newest attempts: the evaluators'
logs, which come in again, name their tokens.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.contract import LeaseAnswer, LeaseRefusal
from evaluator.errors import EXPLANATIONS, Code, Fault
from leaderboard.ledger.actions import record_grant
from leaderboard.ledger.models import Entry, Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.quotas import refund
from leaderboard.submissions.continuation import needs_key_no_more
from leaderboard.submissions.models import (
    Outbox,
    QuotaEntry,
    Run,
    RunOutcomes,
    RunPlan,
    Submission,
    seconds_from_now,
)
from leaderboard.submissions.states import LIVE, RunState

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 300.0
MOST_LOST_ATTEMPTS = 1000
"""Attempts of a run that a restored database may lack. A line that names a later one is ignored."""


def enqueue_attempt(
    run: Run,
    *,
    pause_seconds: float = 0.0,
    outcomes: Sequence[RunOutcomes] | None = None,
    plan: RunPlan | None = None,
) -> None:
    """Record the grant and the outbox row of a queued run's token, in the caller's transaction.

    ``outcomes`` and ``plan`` are those of a new run.
    """
    job = dispatch.job(run, outcomes=outcomes, plan=plan)
    record_grant(run=run.pk, token=run.token, **job.granted())
    Outbox.objects.create(
        run=run,
        token=run.token,
        payload=job.payload,
        due=seconds_from_now(pause_seconds),
    )


def next_attempt(run: Run, *, attempts: int, pause_seconds: float) -> None:
    """Queue a locked run under the next token, as its attempt number ``attempts``."""
    revoke_lease(run, LeaseRefusal.REPLACED)
    run.move(
        RunState.QUEUED,
        token=next_token(run),
        attempts=attempts,
        worker="",
        slot=None,
        waiting="",
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
    enqueue_attempt(run, pause_seconds=pause_seconds)


def renew_token(run: Run) -> None:
    """Queue a locked, queued run under the next token: an evaluator that must not begin it has.

    That evaluator has claimed the token and would never begin it again.
    """
    run.change(token=next_token(run))
    enqueue_attempt(run)


def next_token(run: Run) -> int:
    """Return the token after the last that the run, or a line of a log about it, has."""
    newest = Entry.objects.newest_token(run.pk, most=run.token + MOST_LOST_ATTEMPTS)
    return max(run.token, newest) + 1


def retry_or_fail(run: Run, code: Code) -> None:
    """Queue the next attempt where the code allows it and attempts are left; else fail the run.

    A run that a stopping evaluator hands back keeps its attempt. Any other fault of ours is noted
    as the last error of the run's evaluator.
    """
    if code is Code.HANDED_BACK and run.state in LIVE:
        next_attempt(run, attempts=run.attempts, pause_seconds=0.0)
        return
    explanation = EXPLANATIONS[code]
    if explanation.fault is Fault.OURS and run.evaluator_id is not None:
        evaluator = Evaluator.objects.filter(pk=run.evaluator_id)
        evaluator.update(last_error=code.value, last_error_at=Now())
    attempts_left = run.attempts < settings.MAX_ATTEMPTS
    may_go_on = attempts_left and run.state in LIVE
    if not explanation.retried or not may_go_on:
        fail(run, code)
        return
    pause = 0.0
    if code is not Code.LOST:
        pause = min(LONGEST_PAUSE_SECONDS, 2.0**run.attempts)
    next_attempt(run, attempts=run.attempts + 1, pause_seconds=pause)


def fail(run: Run, code: Code) -> None:
    """End a run without a score; the party at fault follows from the code. Outcomes stay stored."""
    fault = EXPLANATIONS[code].fault
    revoke_lease(run, LeaseRefusal.FAILED)
    run.move(
        RunState.FAILED,
        code=code.value,
        fault=fault.value,
        waiting="",
    )
    if fault is Fault.OURS:
        refund(run, QuotaEntry.Reason.OUR_FAULT)
    if needs_key_no_more(code):
        erase_key(run)


def revoke_lease(run: Run, refusal: LeaseRefusal) -> None:
    """Notify the process that holds the run's lease, if one does, that it has ended.

    The message leaves once the transaction is over.
    """
    if run.state not in LIVE or run.evaluator is None or run.slot is None:
        return
    answer = LeaseAnswer(
        run=str(run.pk),
        token=run.token,
        worker=run.worker,
        sequence=0,
        refusal=refusal,
    )
    send = partial(answer_lease, run.evaluator.name, run.slot, answer)
    transaction.on_commit(send)


def answer_lease(evaluator: str, slot: int, answer: LeaseAnswer) -> None:
    """Answer a process of an evaluator. Where the broker is away its lease runs out."""
    try_to_send(partial(dispatch.send_lease_answer, evaluator, slot, answer))


def try_to_send(send: Callable[[], None]) -> bool:
    """Send a message. Return False where the broker is away."""
    try:
        send()
    except (BrokerAway, OSError) as failure:
        logger.warning("the broker is away: %s", type(failure).__name__)
        return False
    return True


def erase_key(run: Run) -> None:
    """Erase the sealed keys of a run that has ended; one without any at first never gets some."""
    if run.submission.keyed:
        Submission.objects.filter(pk=run.submission_id).erase_keys()


def erase_old_keys() -> int:
    """Erase the sealed keys of runs that failed before the grace time. Returns how many."""
    grace_ends = seconds_from_now(-settings.KEY_GRACE_SECONDS)
    failed = Run.objects.filter(state=RunState.FAILED, ended_at__lt=grace_ends)
    keyed = Submission.objects.with_key()
    return keyed.filter(runs__in=failed).erase_keys()
