"""Order of fair share among the attempts of a pool, whatever the length of the queue.

A few of each organisation are looked at: one query finds them, by an index of the queued runs of
each organisation, and another reads those that may be next. One more sums up what each organisation
used lately, and two read what is under way and what was sent and has not begun. The dispatch and
the forecast of the queue take the starts of one ``Schedule``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    OuterRef,
    Sum,
    Value,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Extract, Now, Power

from leaderboard.accounts.models import Organisation
from leaderboard.submissions.actions.paces import UnderWay, pace_of
from leaderboard.submissions.fair_share import (
    AFFINE,
    HALF_LIFE_SECONDS,
    MAINTAINERS,
    UNKNOWN_SECONDS,
    Fleet,
    Priority,
    Queue,
    Schedule,
    Usage,
    Waiting,
    Worker,
)
from leaderboard.submissions.models import Outbox, Run, Submission, seconds_from_now
from leaderboard.submissions.models.messages import OutboxQuerySet
from leaderboard.submissions.scheduling import Candidate, Needs, place_name

REMEMBERED_HALF_LIVES = 5
SOON_SECONDS = 60.0
"""Time within which an evaluator is free that is sent a run because it has the weights."""
_ANYTHING = Needs(version=0, sets=frozenset())
_ANYONE = Candidate(
    "",
    in_service=True,
    sets=frozenset(),
    reads=frozenset({0}),
)
"""Evaluator of a release that announces nothing: it is not known what it can do."""


@dataclass(frozen=True)
class Due:
    """Attempt of a run that waits, by the key of its outbox row; ``seconds`` None if unknown.

    It is ready from ``ready_at`` on, 0 where nothing keeps it. ``endpoint`` is true where an
    endpoint is asked.
    """

    outbox: int
    run: UUID
    organisation: int
    queued_at: float
    seconds: float | None
    ready_at: float = 0.0
    endpoint: bool = False
    priority: Priority = Priority.AUTHOR

    @property
    def charge(self) -> float:
        """Return the seconds that its organisation is charged with."""
        return UNKNOWN_SECONDS if self.seconds is None else self.seconds

    def waiting(self, needs: Needs) -> Waiting:
        """Return it as the scheduler knows it."""
        return Waiting(
            key=self.outbox,
            organisation=self.organisation,
            needs=needs,
            queued_at=self.queued_at,
            priority=self.priority,
            seconds=self.seconds,
            artefact=needs.artefact,
            ready_at=self.ready_at,
        )


class FairOrder:
    """Official attempts of a pool by fair share: who used what, and what is under way or sent.

    ``live`` are the runs that evaluators work on.
    """

    def __init__(
        self,
        pool: str,
        candidates: Sequence[Candidate],
        live: Sequence[UnderWay],
    ) -> None:
        self._pool = pool
        self._live = live
        self._candidates: list[Candidate] = []
        self._gpus: dict[str, int] = {}
        self._apart: set[str] = set()
        for candidate in candidates:
            gpus, _ = candidate.size
            self._gpus[candidate.name] = max(1, gpus)
            if candidate.in_service:
                self._candidates.append(candidate)
            if candidate.endpoint_runs:
                self._apart.add(candidate.name)
        self.sent = self._read(Outbox.objects.sent())
        self._used = self._charged()

    def first(
        self,
        limit: int,
        *,
        each: int = AFFINE,
        held: bool = False,
    ) -> list[Due]:
        """Return the attempts that are due, of each organisation the oldest ``each``.

        At most ``limit``, of the organisations that used least lately. With ``held`` also those
        that wait for what no evaluator has.
        """
        attempts = Outbox.objects.queued() if held else Outbox.objects.due()
        oldest = self._oldest(attempts, each)
        usage = Usage(self._used, now=0.0)
        by_oldest = sorted(oldest, key=lambda organisation: oldest[organisation][0])
        for organisation in by_oldest:
            if organisation not in usage:
                usage.add(organisation, 0.0, now=0.0)
        # First the oldest attempt of each organisation in turn, then the second of each.
        places = []
        for turn, organisation in enumerate(usage.order()):
            for place, attempt in enumerate(oldest.get(organisation, [])):
                places.append((place, turn, attempt))
        places.sort()
        chosen = [attempt for _, _, attempt in places[:limit]]
        rows = Outbox.objects.filter(pk__in=chosen)
        by_key = {due.outbox: due for due in self._read(rows)}
        return [by_key[attempt] for attempt in chosen if attempt in by_key]

    def _oldest(
        self,
        attempts: OutboxQuerySet,
        each: int,
    ) -> dict[int, list[int]]:
        """Return the keys of the oldest attempts of each organisation that has some, by its key.

        A database that counted the attempts of each would read the whole queue.
        """
        of_pool = attempts.official().filter(run__pool=self._pool)
        in_order = of_pool.order_by("run__queued_at", "pk").values("pk")
        own = in_order.filter(run__organisation=OuterRef("pk"))[:each]
        owners = Organisation.objects.annotate(oldest=ArraySubquery(own))
        watched = in_order.filter(run__organisation=None)[:each]
        attempts_of = {MAINTAINERS: list(watched.values_list("pk", flat=True))}
        attempts_of.update(owners.values_list("pk", "oldest"))
        return {owner: oldest for owner, oldest in attempts_of.items() if oldest}

    def paused(self, limit: int) -> list[Due]:
        """Return the attempts that are paused after a failure, the next one first."""
        return self._read(Outbox.objects.paused(), paused=True, limit=limit)

    def _read(
        self,
        attempts: OutboxQuerySet,
        *,
        paused: bool = False,
        limit: int | None = None,
    ) -> list[Due]:
        pace = pace_of(self._pool)
        of_pool = attempts.official().filter(run__pool=self._pool)
        rows = of_pool.values_list(
            "pk",
            "run",
            Coalesce("run__organisation", MAINTAINERS),
            "run__queued_at",
            "due",
            "run__submission__pair",
            "run__submission__kind",
            F("run__total") - F("run__done"),
            "run__submission__occasion",
        )
        found = []
        for row in rows[:limit]:
            outbox, run, organisation, queued_at, due, pair, kind, items, occasion = row
            found.append(
                Due(
                    outbox,
                    run,
                    organisation,
                    queued_at.timestamp(),
                    pace.seconds(pair=pair, kind=kind, items=items),
                    ready_at=due.timestamp() if paused else 0.0,
                    endpoint=kind == Submission.Kind.ENDPOINT,
                    priority=Priority.AUTHOR if occasion is None else Priority.WATCH,
                )
            )
        return found

    def schedule(
        self,
        waiting: Iterable[Due],
        needs: Mapping[int, Needs],
        *,
        now: float,
    ) -> Schedule:
        """Return the schedule of attempts on the evaluators that serve the pool.

        ``needs`` has the requirements of those that are to be chosen from, by outbox row.
        """
        places: list[Candidate] = []
        for candidate in self._candidates:
            places.extend(candidate.places())
        fleet = Fleet(places or [_ANYONE])
        # Runs of each organisation that were begun or sent, and when those under way end.
        numbers = Counter(due.organisation for due in self.sent)
        ends = []
        for run in self._live:
            if not run.practice:
                numbers[run.organisation] += 1
                ends.append((now + (run.left or 0.0), run.organisation))
        queue = Queue(
            fleet,
            now=now,
            used=self._used,
            under_way=numbers,
            cap=settings.RUNS_AT_ONCE or None,
            reserving=settings.RESERVING_SECONDS,
        )
        for due in sorted(waiting, key=lambda due: due.outbox):
            if due.outbox in needs:
                own_needs = self.needs_of(due, needs)
                queue.add(due.waiting(own_needs), now=now)
        workers = self._workers(fleet, now)
        return Schedule(queue, workers, now=now, ends=ends)

    def _workers(self, fleet: Fleet, now: float) -> list[Worker]:
        """Return the evaluators, when each is free, and the weights in their stores.

        Those of an evaluator that is not free soon, or not known to be, do not matter: nothing is
        to wait for it.
        """
        free_at: dict[str, float] = {}
        later = set()
        taken: Counter[str] = Counter()
        for run in sorted(self._live, key=lambda run: run.left or 0.0):
            name = run.evaluator
            # Where an evaluator has places for endpoints, they take none of weights.
            if run.endpoint and name in self._apart:
                taken[name] += 1
                name = place_name(name, taken[name])
            elif run.left is None or run.left > SOON_SECONDS:
                later.add(name)
            free_at.setdefault(name, now + (run.left or 0.0))
        workers = []
        for candidate in fleet.serving:
            name = candidate.name
            cached = frozenset() if name in later else candidate.fetched
            workers.append(Worker(candidate, free_at.get(name, 0.0), cached))
        return workers

    def needs_of(self, due: Due, needs: Mapping[int, Needs]) -> Needs:
        """Return the requirements of an attempt; none where no evaluator says what it can do."""
        return needs[due.outbox] if self._candidates else _ANYTHING

    def _gpus_of(self, evaluator: str, *, endpoint: bool) -> int:
        """Return the GPUs that a run takes from others; 1 where it takes none."""
        if endpoint and evaluator in self._apart:
            return 1
        return self._gpus.get(evaluator, 1)

    def _charged(self) -> dict[int, float]:
        """Return the GPU-seconds that each organisation used lately, with what is under way.

        A run under way counts with all that it is expected to take, as when it was given out.
        """
        # The seconds of ended runs. Older ones count less.
        half_lives = _epoch(Now() - F("ended_at")) / HALF_LIFE_SECONDS
        weight = Power(Value(0.5), half_lives)
        weighted = _epoch(F("ended_at") - F("started_at")) * weight
        remembered = seconds_from_now(-REMEMBERED_HALF_LIVES * HALF_LIFE_SECONDS)
        runs = Run.objects.filter(
            pool=self._pool,
            started_at__isnull=False,
            ended_at__gt=remembered,
        )
        summed = (
            runs.order_by()
            .annotate(charged=Coalesce("organisation", MAINTAINERS))
            .values("charged", "evaluator__name", "submission__kind")
            .annotate(used=Sum(weighted, output_field=FloatField()))
        )
        rows = summed.values_list("charged", "evaluator__name", "submission__kind", "used")
        used: defaultdict[int, float] = defaultdict(float)
        for organisation, evaluator, kind, seconds in rows:
            endpoint = kind == Submission.Kind.ENDPOINT
            used[organisation] += seconds * self._gpus_of(evaluator, endpoint=endpoint)
        for run in self._live:
            left = run.left
            if left is None:
                left = max(0.0, UNKNOWN_SECONDS - run.elapsed)
            gpus = self._gpus_of(run.evaluator, endpoint=run.endpoint)
            used[run.organisation] += (run.elapsed + left) * gpus
        serving_gpus = [self._gpus[candidate.name] for candidate in self._candidates]
        smallest = min(serving_gpus, default=1)
        for due in self.sent:
            is_apart = due.endpoint and self._apart
            gpus = 1 if is_apart else smallest
            used[due.organisation] += due.charge * gpus
        return dict(used)


def _epoch(difference: Combinable) -> Cast:
    span = ExpressionWrapper(difference, output_field=DurationField())
    return Cast(Extract(span, "epoch"), FloatField())
