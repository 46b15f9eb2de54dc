"""The queue of attempts: dispatching those that are due to evaluators that can take them.

The database is the queue. The broker holds a message for each evaluator that is idle and one ahead
of each that serves, one a token, and each expires; what it loses is dispatched again. Which runs
these are is decided by fair share, see ``fair_share``: no organisation waits behind another's many.

Runs of endpoints have places of their own where an evaluator announces some, and a queue of their
own. None is sent ahead there: it would wait for a slow endpoint while another place is free.

Practice comes last. A practice attempt is sent only while no official run of the pool waits to
begin, and practice has at most half of the evaluators, or one of them: an official run waits for
one practice run at most, and for none where two evaluators serve.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Coalesce, Now
from kombu.exceptions import OperationalError as BrokerAway

from evaluator.contract import endpoint_queue, evaluate_queue, journal_queue
from evaluator.errors import Code
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import dispatch
from leaderboard.submissions.actions.attempts import fail, try_to_send
from leaderboard.submissions.actions.fair_order import SOON_SECONDS, FairOrder
from leaderboard.submissions.actions.paces import UnderWay, under_way
from leaderboard.submissions.fair_share import Schedule, has_weights
from leaderboard.submissions.models import Decline, Outbox, Run, Submission, seconds_from_now
from leaderboard.submissions.scheduling import Candidate, Needs, Route, Takes, route, route_around
from leaderboard.submissions.states import LIVE, RunState

logger = logging.getLogger(__name__)

MANY = 200
"""Attempts of a pool that are dispatched at a time."""
PER_EVALUATOR = 2
"""Runs that an evaluator is given at most: the one that it works on, and one ahead."""
_PRACTICE_LOCKS = 0x5EA4
SLACK_SECONDS = 2.0
"""An attempt is sent again only when the message before has surely expired."""


def dispatch_on_commit() -> None:
    """Have the housekeeping dispatch the attempts that are due once the transaction is over.

    Where the broker is away, the next drain dispatches them.
    """
    transaction.on_commit(partial(try_to_send, dispatch.request_dispatch))


def drain_outbox() -> int:
    """Dispatch the attempts that are due, as many as the queues can take. Returns how many."""
    due = Outbox.objects.due()
    sent = 0
    for pool in sorted(Evaluator.objects.pools() | {settings.POOL}):
        if due.filter(run__pool=pool).exists():
            sent += _drain_pool(pool)
    return sent


class QueueCapacity:
    """Messages that each queue of a pool may still take, by the runs that are ``live`` there.

    Raises the broker's error where it is away.
    """

    def __init__(
        self,
        pool: str,
        candidates: Sequence[Candidate],
        live: Sequence[UnderWay],
    ) -> None:
        serving = [candidate for candidate in candidates if candidate.in_service]
        self.pool = evaluate_queue(pool)
        self.own: dict[str, str] = {}
        self.apart: dict[str, str] = {}
        for candidate in serving:
            name = candidate.name
            self.own[name] = journal_queue(name)
            if candidate.endpoint_runs:
                self.apart[name] = endpoint_queue(name)
        busy = self._busy(live)
        for_all = PER_EVALUATOR * max(1, len(serving)) - len(busy)
        self._left = {self.pool: for_all - dispatch.depth(self.pool)}
        for name, queue in self.own.items():
            begun = int(name in busy)
            self._left[queue] = PER_EVALUATOR - begun - dispatch.depth(queue)
        # The places of endpoints that no run has.
        asking = Counter(run.evaluator for run in live if run.endpoint)
        self._left_apart = 0
        for candidate in serving:
            if candidate.endpoint_runs:
                queue = self.apart[candidate.name]
                free = candidate.endpoint_runs - asking[candidate.name]
                self._left[queue] = free - dispatch.depth(queue)
                self._left_apart += free
        if self.apart:
            # An attempt whose message was taken and that has not reported its begin is in no queue.
            sent = Outbox.objects.sent().filter(run__pool=pool)
            of_endpoints = sent.filter(run__submission__kind=Submission.Kind.ENDPOINT)
            self._left_apart -= of_endpoints.count()

    def _busy(self, live: Sequence[UnderWay]) -> set[str]:
        """Return the evaluators in service whose place of weights has a run."""
        busy = set()
        for run in live:
            is_apart = run.endpoint and run.evaluator in self.apart
            if run.evaluator in self.own and not is_apart:
                busy.add(run.evaluator)
        return busy

    def any_left(self) -> bool:
        """Return True where some queue takes one more."""
        return any(left > 0 for left in self._left.values())

    def take(self, route: Route, *, endpoint: bool) -> str | None:
        """Take a place in the emptiest queue of an attempt's route; None where all are full."""
        queues: list[str] = []
        if endpoint and self.apart:
            for name in self.own if route.pool else route.names:
                if name not in self.apart:
                    queues.append(self.own[name])
                elif self._left_apart > 0:
                    queues.append(self.apart[name])
        elif route.pool:
            queues = [self.pool]
        else:
            queues = [self.own[name] for name in route.names]
        emptiest = max(queues, key=lambda queue: self._left[queue], default=None)
        if emptiest is None or self._left[emptiest] <= 0:
            return None
        self._left[emptiest] -= 1
        if emptiest in self.apart.values():
            self._left_apart -= 1
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
        elif queue := capacity.take(route, endpoint=row.is_of_endpoint):
            self.claimed.append((row, queue))

    def store(self) -> None:
        """Store when each attempt is due again, and the code that each waiting run waits for."""
        queued = Run.objects.filter(state=RunState.QUEUED)
        handled = []
        sent_runs = []
        for row, _ in self.claimed:
            handled.append(row.pk)
            if row.run.waiting:
                sent_runs.append(row.run_id)
        queued.filter(pk__in=sent_runs).update(waiting="")
        for code, rows in self.waiting.items():
            waiting_runs = []
            for row in rows:
                handled.append(row.pk)
                waiting_runs.append(row.run_id)
            queued.filter(pk__in=waiting_runs).update(waiting=code)
        again = seconds_from_now(settings.REDISPATCH_SECONDS + SLACK_SECONDS)
        Outbox.objects.filter(pk__in=handled).update(due=again)


def _drain_pool(pool: str) -> int:
    """Dispatch the attempts of a pool that are due. Returns how many."""
    candidates = dispatch.candidates(pool)
    live = under_way(pool)
    try:
        capacity = QueueCapacity(pool, candidates, live)
    except (BrokerAway, OSError) as failure:
        logger.warning("the broker is away: %s", type(failure).__name__)
        return 0
    if not capacity.any_left():
        return 0
    order = FairOrder(pool, candidates, live)
    plan = _claim(order, pool, candidates, capacity)
    for run, code in plan.hopeless:
        with transaction.atomic():
            locked = Run.objects.locked(run)
            if locked is not None and locked.state == RunState.QUEUED:
                fail(locked, code)
    for sent, (outbox, queue) in enumerate(plan.claimed):
        if not try_to_send(partial(dispatch.send_job, outbox, queue)):
            # The broker refused it: it and those behind it are due again.
            unsent = [row.pk for row, _ in plan.claimed[sent:]]
            Outbox.objects.filter(pk__in=unsent).update(due=Now())
            return sent
        first_sent = Coalesce("sent_at", Now())
        Outbox.objects.filter(pk=outbox.pk).update(sent_at=first_sent)
    return len(plan.claimed)


def _claim(
    order: FairOrder,
    pool: str,
    candidates: Sequence[Candidate],
    capacity: QueueCapacity,
) -> Plan:
    """Claim attempts for the queues that are not full, so that no other process sends them too.

    The rows are unlocked again before anything is sent. A crash in between costs the time until
    they are due again.
    """
    never_seen = Evaluator.objects.of_pool(pool).filter(last_seen__isnull=True)
    silent = frozenset(never_seen.values_list("name", flat=True))
    plan = Plan()
    first = order.first(MANY)
    first_keys = [attempt.outbox for attempt in first]
    paused = order.paused(MANY)
    paused_keys = [attempt.outbox for attempt in paused]
    with transaction.atomic():
        attempts = Outbox.objects.select_related("run__submission__upload")
        due = attempts.due().filter(run__pool=pool)
        unlocked = due.select_for_update(of=("self",), skip_locked=True)
        rows = {row.pk: row for row in unlocked.filter(pk__in=first_keys)}
        later = list(attempts.filter(pk__in=paused_keys))
        left = _practice_left(pool, len(capacity.own), rows.values())
        last = list(unlocked.practice()[:left])
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
    and also the evaluators that are reserved for another run. An endpoint takes no place of weights
    where it has places of its own, so only the others are left out for it.
    """
    apart = {candidate.name for candidate in candidates if candidate.endpoint_runs}
    reserved = schedule.queue.reserved(schedule.workers, now=now)
    starts = list(takewhile(lambda start: start.given_at <= now, schedule))
    named = set()
    for start in starts:
        is_soon = start.at <= now + SOON_SECONDS
        if is_soon and has_weights(start.worker, start.run):
            named.add(start.worker.candidate.name)
    avoided = reserved | named
    for start in starts:
        key = int(str(start.run.key))
        candidate = start.worker.candidate
        name = candidate.name
        if candidate.takes is Takes.ENDPOINTS:
            yield key, route_around(routes[key], avoided - apart, candidates)
        elif name in named:
            yield key, Route(names=(name,))
        else:
            yield key, route_around(routes[key], avoided - {name}, candidates)


def needs_of(rows: Sequence[Outbox]) -> dict[int, Needs]:
    """Return what an evaluator must have for each attempt, by its key.

    An attempt goes to no evaluator that declined its run lately.
    """
    recent = Decline.objects.filter(
        declined_at__gt=seconds_from_now(-settings.REDISPATCH_SECONDS),
        run__in=[row.run_id for row in rows],
    )
    declined: dict[UUID, dict[str, Code]] = {}
    for run, name, code in recent.values_list("run", "evaluator__name", "code"):
        declined.setdefault(run, {})[name] = Code(code)
    needs = {}
    for row in rows:
        declined_by = declined.get(row.run_id, {})
        needs[row.pk] = dispatch.needs(row, declined_by)
    return needs


def _practice_left(
    pool: str,
    serving: int,
    official: Iterable[Outbox] = (),
) -> int:
    """Return how many practice attempts may be sent now, to so many evaluators that serve.

    None while one of the ``official`` attempts, or any other, waits to begin. The lock lets no two
    processes send the same number at once.
    """
    if any(not row.run.waiting for row in official):
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_PRACTICE_LOCKS, pool])
    queued = Outbox.objects.queued().filter(run__pool=pool, run__waiting="")
    if queued.official().exists():
        return 0
    practice = Run.objects.filter(pool=pool, submission__pair__practice=True)
    live = practice.filter(state__in=LIVE)
    sent = queued.filter(
        run__in=practice,
        sent_at__isnull=False,
        due__gt=Now(),
    )
    taken = live.count() + sent.count()
    return max(0, practice_share(serving) - taken)


def practice_share(serving: int) -> int:
    """Return the evaluators that practice has at most, of so many that serve."""
    return max(1, serving // 2)


def decline(*, run: Run, evaluator: Evaluator, code: Code) -> None:
    """Record that an evaluator cannot do a queued, locked run, and dispatch it elsewhere."""
    facts = {"code": code.value, "declined_at": Now()}
    Decline.objects.update_or_create(run=run, evaluator=evaluator, defaults=facts)
    attempt = Outbox.objects.filter(run=run, token=run.token)
    attempt.update(due=Now())
    dispatch_on_commit()


def follow_announcement(*, evaluator: Evaluator) -> None:
    """Try again the runs that waited for something that an evaluator now announces to have."""
    evaluator.declines.all().delete()
    queued = Run.objects.filter(pool=evaluator.pool, state=RunState.QUEUED)
    stuck = queued.exclude(waiting="")
    attempts = Outbox.objects.queued().filter(run__in=stuck)
    attempts.update(due=Now())
    dispatch_on_commit()
