"""The queue of attempts: dispatching those that are due to evaluators that can take them.

The database is the queue. The broker holds a message for each evaluator that is idle and one ahead
of each that serves, one a token, and each expires; what it loses is dispatched again. Which runs
these are is decided by fair share, see ``fair_share``: no organisation waits behind another's many.

Practice comes last. A practice attempt is sent only while no official run of the pool waits to
begin, and practice has at most half of the evaluators, or one of them: an official run waits for
one practice run at most, and for none where two evaluators serve.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Coalesce, Now
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.contract import evaluate_queue, journal_queue
from evaluator.errors import Code
from leaderboard.errors import SiteError, quiet_database
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import fail, try_to_send
from leaderboard.submissions.actions.fair_order import SOON_SECONDS, FairOrder
from leaderboard.submissions.actions.paces import under_way
from leaderboard.submissions.fair_share import Schedule, Start, has_weights
from leaderboard.submissions.models import Decline, Outbox, Run, seconds_from_now
from leaderboard.submissions.scheduling import Candidate, Needs, Route, route, route_around
from leaderboard.submissions.states import LIVE, RunState

logger = logging.getLogger(__name__)

MANY = 200
"""Attempts that the housekeeping dispatches at a time."""
FEW = 10
"""Attempts that are dispatched within a request."""
PER_EVALUATOR = 2
"""Runs that an evaluator is given at most: the one that it works on, and one ahead."""
_PRACTICE_LOCKS = 0x5EA4
SLACK_SECONDS = 2.0
"""An attempt is sent again only when the message before has surely expired."""


def dispatch_on_commit(run: Run) -> None:
    """Dispatch the due attempts of the run's pool once the transaction is over.

    Where that fails, the next drain does it.
    """
    pool = run.pool

    def dispatch_due() -> None:
        with suppress(SiteError), quiet_database():
            drain_outbox(pool=pool, limit=FEW)

    transaction.on_commit(dispatch_due)


def drain_outbox(*, pool: str | None = None, limit: int = MANY) -> int:
    """Dispatch the attempts that are due, as many as the queues can take. Returns how many."""
    due = Outbox.objects.due()
    if pool is not None:
        due = due.filter(run__pool=pool)
    pools = set(due.order_by().values_list("run__pool", flat=True))
    sent = 0
    for name in sorted(pools):
        sent += _drain_pool(name, limit)
    return sent


class QueueCapacity:
    """Messages that each queue of a pool may still take. Raises the broker's error where it is
    away."""

    def __init__(self, pool: str, serving: Collection[str], *, busy: Collection[str]) -> None:
        self.pool = evaluate_queue(pool)
        self.own = {name: journal_queue(name) for name in serving}
        for_all = PER_EVALUATOR * max(1, len(serving)) - len(busy)
        self._left = {self.pool: for_all - dispatch.depth(self.pool)}
        for name, queue in self.own.items():
            self._left[queue] = PER_EVALUATOR - (name in busy) - dispatch.depth(queue)

    def any_left(self) -> bool:
        """Return True where some queue takes one more."""
        return any(left > 0 for left in self._left.values())

    def take(self, route: Route) -> str | None:
        """Take a place in the emptiest queue of an attempt's route; None where all are full."""
        queues = [self.own[name] for name in route.names]
        if route.pool:
            queues = [self.pool]
        emptiest = max(queues, key=lambda queue: self._left[queue])
        if self._left[emptiest] <= 0:
            return None
        self._left[emptiest] -= 1
        return emptiest


@dataclass
class Plan:
    """Disposition of due attempts: claimed for a queue, hopeless, or waiting for a code."""

    claimed: list[tuple[Outbox, str]] = field(default_factory=list)
    hopeless: list[tuple[UUID, Code]] = field(default_factory=list)
    waiting: dict[Code, list[Outbox]] = field(default_factory=dict)

    def add(self, row: Outbox, route: Route, capacity: QueueCapacity) -> None:
        """Add one attempt. It stays due where its queues are full."""
        if route.waiting and route.hopeless:
            self.hopeless.append((row.run_id, route.waiting))
        elif route.waiting:
            self.waiting.setdefault(route.waiting, []).append(row)
        elif queue := capacity.take(route):
            self.claimed.append((row, queue))

    def store(self) -> None:
        """Store when each attempt is due again, and the code that each waiting run waits for."""
        queued = Run.objects.filter(state=RunState.QUEUED)
        handled = []
        sent_runs = []
        for row, _ in self.claimed:
            handled.append(row.pk)
            sent_runs.append(row.run_id)
        queued.filter(pk__in=sent_runs).exclude(waiting="").update(waiting="")
        for code, rows in self.waiting.items():
            waiting_runs = []
            for row in rows:
                handled.append(row.pk)
                waiting_runs.append(row.run_id)
            queued.filter(pk__in=waiting_runs).update(waiting=code)
        again = seconds_from_now(settings.REDISPATCH_SECONDS + SLACK_SECONDS)
        Outbox.objects.filter(pk__in=handled).update(due=again)


def _drain_pool(pool: str, limit: int) -> int:
    candidates = dispatch.candidates(pool)
    serving = [candidate.name for candidate in candidates if candidate.in_service]
    live = under_way(pool)
    busy = {run.evaluator for run in live}.intersection(serving)
    try:
        capacity = QueueCapacity(pool, serving, busy=busy)
    except (BrokerAway, OSError) as failure:
        logger.warning("the broker is away: %s", type(failure).__name__)
        return 0
    if not capacity.any_left():
        return 0
    order = FairOrder(pool, candidates, live)
    plan = _claim(order, pool, candidates, capacity, limit)
    for run, code in plan.hopeless:
        with transaction.atomic():
            locked = Run.objects.locked(run)
            if locked is not None and locked.state == RunState.QUEUED:
                fail(locked, code)
    return _send(plan.claimed)


def _claim(
    order: FairOrder,
    pool: str,
    candidates: Sequence[Candidate],
    capacity: QueueCapacity,
    limit: int,
) -> Plan:
    """Claim attempts for the queues that are not full, so that no other process sends them too.

    The rows are unlocked again before anything is sent. A crash in between costs the time until
    they are due again.
    """
    never_seen = Evaluator.objects.of_pool(pool).filter(last_seen__isnull=True)
    silent = frozenset(never_seen.values_list("name", flat=True))
    plan = Plan()
    first, paused = order.first(limit), order.paused(limit)
    with transaction.atomic():
        attempts = Outbox.objects.select_related("run__submission__upload")
        due = attempts.due().filter(run__pool=pool)
        unlocked = due.select_for_update(of=("self",), skip_locked=True)
        rows = {row.pk: row for row in unlocked.filter(pk__in=[one.outbox for one in first])}
        later = list(attempts.filter(pk__in=[one.outbox for one in paused]))
        last = list(unlocked.practice()[: _practice_left(pool, serving=len(capacity.own))])
        needs = needs_of([*rows.values(), *later, *last])
        routes = {pk: route(needs[pk], candidates, silent=silent) for pk in needs}
        for pk, row in rows.items():
            if routes[pk].waiting:
                plan.add(row, routes[pk], capacity)
        fitting = {pk: needs[pk] for pk in needs if not routes[pk].waiting}
        now = time.time()
        schedule = order.schedule([*first, *paused], fitting, now=now)
        for pk, chosen in _given_now(schedule, routes, candidates, now=now):
            if pk in rows:  # the database's clock may not have reached a paused one yet
                plan.add(rows[pk], chosen, capacity)
        for row in last:
            plan.add(row, routes[row.pk], capacity)
        plan.store()
    return plan


def _given_now(
    schedule: Schedule,
    routes: Mapping[int, Route],
    candidates: Sequence[Candidate],
    *,
    now: float,
) -> Iterator[tuple[int, Route]]:
    """Yield the attempts that evaluators are given now, by their keys, with their routes.

    An evaluator that is free soon and has the weights of its run in its store is sent its runs by
    name, in their order. The routes of others leave it out, so that it takes none of theirs first,
    and also the evaluators that are reserved for another run.
    """
    reserved = schedule.queue.reserved(schedule.workers, now=now)
    starts = list(takewhile(lambda start: start.given_at <= now, schedule))
    named = {start.worker.candidate.name for start in starts if _begins_with_weights(start, now)}
    for start in starts:
        key, name = int(str(start.run.key)), start.worker.candidate.name
        if name in named:
            yield key, Route(names=(name,))
        else:
            yield key, route_around(routes[key], (reserved | named) - {name}, candidates)


def _begins_with_weights(start: Start, now: float) -> bool:
    return has_weights(start.worker, start.run) and start.at <= now + SOON_SECONDS


def needs_of(rows: Sequence[Outbox]) -> dict[int, Needs]:
    """Return what an evaluator must have for each attempt, by its key."""
    declined = _recent_declines(rows)
    return {row.pk: dispatch.needs(row, declined.get(row.run_id, {})) for row in rows}


def _practice_left(pool: str, serving: int) -> int:
    """Return how many practice attempts may be sent now, to so many evaluators that serve.

    The lock lets no two processes send the same number at once.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_PRACTICE_LOCKS, pool])
    queued = Outbox.objects.queued().filter(run__pool=pool, run__waiting="")
    if queued.official().exists():
        return 0
    practice = Run.objects.filter(pool=pool, submission__pair__practice=True)
    live = practice.filter(state__in=LIVE).count()
    sent = queued.filter(run__in=practice, sent_at__isnull=False, due__gt=Now()).count()
    return max(0, practice_share(serving) - live - sent)


def practice_share(serving: int) -> int:
    """Return the evaluators that practice has at most, of so many that serve."""
    return max(1, serving // 2)


def _recent_declines(rows: Sequence[Outbox]) -> dict[UUID, dict[str, Code]]:
    """Return by run the evaluators that declined it lately, with the code of what they lack."""
    recent = Decline.objects.filter(
        declined_at__gt=seconds_from_now(-settings.REDISPATCH_SECONDS),
        run__in=[row.run_id for row in rows],
    )
    declined: dict[UUID, dict[str, Code]] = {}
    for run, name, code in recent.values_list("run", "evaluator__name", "code"):
        declined.setdefault(run, {})[name] = Code(code)
    return declined


def _send(claimed: Sequence[tuple[Outbox, str]]) -> int:
    """Send claimed attempts. If the broker refuses one, it and those behind it are due again."""
    for sent, (outbox, queue) in enumerate(claimed):
        if not try_to_send(partial(dispatch.send_job, outbox, queue)):
            unsent = [row.pk for row, _ in claimed[sent:]]
            Outbox.objects.filter(pk__in=unsent).update(due=Now())
            return sent
        Outbox.objects.filter(pk=outbox.pk).update(sent_at=Coalesce("sent_at", Now()))
    return len(claimed)


def decline(*, run: Run, evaluator: Evaluator, code: Code) -> None:
    """Record that an evaluator cannot do a queued, locked run, and dispatch it elsewhere."""
    facts = {"code": code.value, "declined_at": Now()}
    Decline.objects.update_or_create(run=run, evaluator=evaluator, defaults=facts)
    Outbox.objects.filter(run=run, token=run.token).update(due=Now())
    dispatch_on_commit(run)


def follow_announcement(*, evaluator: Evaluator) -> None:
    """Try again the runs that waited for something that an evaluator now announces to have."""
    evaluator.declines.all().delete()
    stuck = Run.objects.filter(pool=evaluator.pool, state=RunState.QUEUED).exclude(waiting="")
    Outbox.objects.queued().filter(run__in=stuck).update(due=Now())
    drain: Callable[[], int] = partial(drain_outbox, pool=evaluator.pool)
    transaction.on_commit(drain)
