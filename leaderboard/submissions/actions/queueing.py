"""Looking after runs: dispatching attempts, requeueing expired ones, ending what cannot go on.

The database is the queue. The broker holds a few messages for each evaluator that serves, one a token, and each
expires; what it loses is dispatched again. An attempt that is lost is replaced by the next one, whose higher token
shuts the lost one out.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Coalesce, Now
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.contract import LeaseAnswer, LeaseRefusal, evaluate_queue, journal_queue
from evaluator.errors import EXPLANATIONS, Code
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, SiteError, quiet_database, refuse
from leaderboard.ledger.actions import record_grant
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.quotas import check_continued
from leaderboard.submissions.continuation import needs_key_no_more
from leaderboard.submissions.models import Decline, Outbox, Run, Submission, seconds_from_now
from leaderboard.submissions.scheduling import Candidate, Route, route
from leaderboard.submissions.states import LIVE, RunState

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 300.0
MANY, FEW = 200, 10
"""Attempts that are dispatched at a time by the housekeeping, and within a request."""
PER_EVALUATOR = 4
"""Messages that may stand in a queue for each evaluator that serves it: enough to keep it busy between two drains."""
SLACK_SECONDS = 2.0
"""An attempt is sent again only when the message before has surely expired."""


def put_out(run: Run, *, pause_seconds: float = 0.0) -> None:
    """Record the grant and the outbox row of a queued run's token. In the transaction that queues it."""
    job = dispatch.job(run)
    record_grant(run=run.pk, token=run.token, **job.granted())
    Outbox.objects.create(
        run=run, token=run.token, payload=job.payload, due=seconds_from_now(pause_seconds)
    )


def ring_now(run: Run) -> None:
    """Dispatch what is due of the run's pool as soon as the transaction is over; else the next drain does it."""
    pool = run.pool

    def ring() -> None:
        with suppress(SiteError), quiet_database():
            drain_outbox(pool=pool, limit=FEW)

    transaction.on_commit(ring)


def drain_outbox(*, pool: str | None = None, limit: int = MANY) -> int:
    """Dispatch the attempts that are due, of each pool as many as its queues have room for. Returns how many."""
    due = Outbox.objects.due()
    pools = sorted(set(due.order_by().values_list("run__pool", flat=True).distinct()))
    return sum(_drain(one, limit) for one in pools if pool in (None, one))


class _Rooms:
    """How many messages each queue of a pool may still take. Raises the broker's error where it is away."""

    def __init__(self, pool: str, serving: Collection[str]) -> None:
        self.pool = evaluate_queue(pool)
        self.own = {name: journal_queue(name) for name in serving}
        self._left = {self.pool: PER_EVALUATOR * max(1, len(serving)) - dispatch.depth(self.pool)}
        self._left |= {queue: PER_EVALUATOR - dispatch.depth(queue) for queue in self.own.values()}

    def any_left(self) -> bool:
        """Return True where some queue takes one more."""
        return any(left > 0 for left in self._left.values())

    def take(self, found: Route) -> str | None:
        """Take a place for an attempt, in the emptiest queue it may go to. None where all are full."""
        queues = [self.pool] if found.pool else [self.own[name] for name in found.names]
        best = max(queues, key=lambda queue: self._left[queue])
        if self._left[best] <= 0:
            return None
        self._left[best] -= 1
        return best


def _drain(pool: str, limit: int) -> int:
    candidates = dispatch.candidates(pool)
    try:
        rooms = _Rooms(pool, [one.name for one in candidates if one.in_service])
    except (BrokerAway, OSError) as failure:
        logger.warning("the broker is away: %s", type(failure).__name__)
        return 0
    if not rooms.any_left():
        return 0
    claimed, hopeless = _claim(pool, candidates, rooms, limit)
    for run, code in hopeless:
        _fail_queued(run, code)
    return _send(claimed)


def _claim(
    pool: str, candidates: Sequence[Candidate], rooms: _Rooms, limit: int
) -> tuple[list[tuple[Outbox, str]], list[tuple[UUID, Code]]]:
    """Claim attempts for the queues that have room, so that no other process sends them too, and let go of the rows.

    Returns them with their queues, and the runs that no evaluator will ever take. A crash before they are sent costs
    the time until they are due again.
    """
    silent = (
        Evaluator.objects.of_pool(pool)
        .filter(last_seen__isnull=True)
        .values_list("name", flat=True)
    )
    quiet = frozenset(silent)
    claimed: list[tuple[Outbox, str]] = []
    hopeless: list[tuple[UUID, Code]] = []
    waiting: dict[Code, list[Outbox]] = {}
    with transaction.atomic():
        due = Outbox.objects.due().filter(run__pool=pool).select_related("run__submission")
        rows = list(due.select_for_update(of=("self",), skip_locked=True)[:limit])
        declined = _declined(rows)
        for outbox in rows:
            found = route(
                dispatch.needs(outbox, declined.get(outbox.run_id, {})), candidates, silent=quiet
            )
            if found.waiting and found.hopeless:
                hopeless.append((outbox.run_id, found.waiting))
            elif found.waiting:
                waiting.setdefault(found.waiting, []).append(outbox)
            elif queue := rooms.take(found):
                claimed.append((outbox, queue))
        again = seconds_from_now(settings.RING_SECONDS + SLACK_SECONDS)
        put_off = [outbox for group in waiting.values() for outbox in group]
        Outbox.objects.filter(
            pk__in=[one.pk for one in (*put_off, *(row for row, _ in claimed))]
        ).update(due=again)
        for code, group in waiting.items():
            Run.objects.filter(pk__in=[one.run_id for one in group], state=RunState.QUEUED).update(
                waiting=code
            )
        sent = [row.run_id for row, _ in claimed]
        Run.objects.filter(pk__in=sent, state=RunState.QUEUED).exclude(waiting="").update(
            waiting=""
        )
    return claimed, hopeless


def _declined(rows: Sequence[Outbox]) -> dict[UUID, dict[str, Code]]:
    """By run, the evaluators that declined it lately, and what they lack."""
    found: dict[UUID, dict[str, Code]] = {}
    lately = Decline.objects.filter(declined_at__gt=seconds_from_now(-settings.RING_SECONDS))
    about = lately.filter(run__in=[row.run_id for row in rows]).values_list(
        "run", "evaluator__name", "code"
    )
    for run, name, code in about:
        found.setdefault(run, {})[name] = Code(code)
    return found


def _send(claimed: Sequence[tuple[Outbox, str]]) -> int:
    """Send claimed attempts. Those behind the first that the broker does not take are due again."""
    for sent, (outbox, queue) in enumerate(claimed):
        if not bell(partial(dispatch.ring, outbox, queue)):
            Outbox.objects.filter(pk__in=[row.pk for row, _ in claimed[sent:]]).update(due=Now())
            return sent
        Outbox.objects.filter(pk=outbox.pk).update(sent_at=Coalesce("sent_at", Now()))
    return len(claimed)


def _fail_queued(run: UUID, code: Code) -> None:
    with transaction.atomic():
        locked = Run.objects.locked(run)
        if locked is not None and locked.state == RunState.QUEUED:
            fail(locked, code)


def decline(*, run: Run, evaluator: Evaluator, code: Code) -> None:
    """Record that an evaluator cannot do a queued run, and have it sent elsewhere. Only for a run that is locked."""
    about = {"code": code.value, "declined_at": Now()}
    Decline.objects.update_or_create(run=run, evaluator=evaluator, defaults=about)
    Outbox.objects.filter(run=run, token=run.token).update(due=Now())
    ring_now(run)


def follow_announcement(*, evaluator: Evaluator) -> None:
    """Try again what waited for something that an evaluator now announces to have."""
    evaluator.declines.all().delete()
    stuck = Run.objects.filter(pool=evaluator.pool, state=RunState.QUEUED).exclude(waiting="")
    Outbox.objects.queued().filter(run__in=stuck).update(due=Now())
    pool = evaluator.pool
    transaction.on_commit(lambda: drain_outbox(pool=pool))


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
    revoke(run, LeaseRefusal.REPLACED)
    run.move(
        RunState.QUEUED,
        token=run.token + 1,
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
    put_out(run, pause_seconds=pause_seconds)


def fail(run: Run, code: Code) -> None:
    """End a run without a score; whose fault it was follows from the code. Outcomes are kept."""
    revoke(run, LeaseRefusal.FAILED)
    run.move(RunState.FAILED, code=code.value, fault=EXPLANATIONS[code].fault.value, waiting="")
    if needs_key_no_more(code):
        erase_key(run)


def revoke(run: Run, refusal: LeaseRefusal) -> None:
    """Once the transaction is over, tell the process that holds the run's lease that it holds none any more."""
    if run.state not in LIVE or run.evaluator is None or run.slot is None:
        return
    told = LeaseAnswer(
        run=str(run.pk), token=run.token, worker=run.worker, sequence=0, refusal=refusal
    )
    transaction.on_commit(partial(answer, run.evaluator.name, run.slot, told))


def answer(evaluator: str, slot: int, told: LeaseAnswer) -> None:
    """Answer a process of an evaluator. Where the broker is away its lease runs out."""
    bell(partial(dispatch.answer, evaluator, slot, told))


def erase_key(run: Run) -> None:
    """Forget the endpoint's sealed API key: the run has ended."""
    Submission.objects.filter(pk=run.submission_id).erase_keys()


def erase_old_keys() -> int:
    """Erase the sealed keys of runs that failed longer ago than the grace time. Returns how many."""
    failed = Run.objects.filter(
        state=RunState.FAILED, ended_at__lt=seconds_from_now(-settings.KEY_GRACE_SECONDS)
    )
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
    """Queue a failed run, which is locked, with the items that are left.

    Raises ``pair_withdrawn``, ``cohort_share_used`` and ``season_share_used``.
    """
    if run.submission.pair.withdrawn_at:
        raise refuse(Refusal.PAIR_WITHDRAWN, run.submission.pair.slug)
    check_continued(run)
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
        revoke(locked, LeaseRefusal.CANCELLED)
        locked.move(RunState.CANCELLED, waiting="")
        erase_key(locked)
    return locked


def graded(*, pair: SetPair) -> list[UUID]:
    """The runs on a pair that wait for the close of their cohort.

    Also such as the board's grader has not graded again: who keeps their answers may never come back.
    """
    return list(
        Run.objects.filter(submission__pair=pair, state=RunState.GRADED).values_list(
            "pk", flat=True
        )
    )


def is_due(*, pair: SetPair) -> bool:
    """Whether the clock closes the cohort of a pair: its first run has waited for as long as one is open."""
    waiting = Run.objects.waiting(older_than_seconds=settings.COHORT_SECONDS).filter(
        submission__pair=pair
    )
    return settings.COHORT_SECONDS > 0 and waiting.exists()


def mark_ranked(*, run_ids: Collection[UUID | str]) -> int:
    """Move the graded runs of a cohort that is closed to ranked; returns how many there were."""
    moved = 0
    with transaction.atomic():
        # In one order everywhere, so that two closes at once cannot wait for each other.
        for run in (
            Run.objects.select_for_update()
            .filter(pk__in=run_ids, state=RunState.GRADED)
            .order_by("pk")
        ):
            run.move(RunState.RANKED)
            moved += 1
    return moved


def ring_unranked() -> int:
    """Ask again for rankings that lack what maintainers have said, and for closes that are due. Returns how many."""
    pairs = set(SetPair.objects.filter(stale=True).values_list("slug", flat=True))
    if settings.COHORT_SECONDS:
        due = Run.objects.waiting(
            older_than_seconds=max(settings.COHORT_SECONDS, settings.LEASE_SECONDS)
        )
        pairs |= set(due.values_list("submission__pair__slug", flat=True))
    return sum(bell(lambda pair=pair: dispatch.ring_rebuild(pair)) for pair in sorted(pairs))  # type: ignore[misc]


def ring_ranking(pair: str) -> None:
    """Ask for a new ranking of a pair; where the broker is away, the housekeeping does it later."""
    bell(lambda: dispatch.ring_rebuild(pair))
