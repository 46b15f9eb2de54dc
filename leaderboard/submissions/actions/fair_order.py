"""Order of fair share among the attempts of a pool, whatever the length of the queue.

A few of each organisation are looked at, in one query; another one sums up what each organisation
used lately, and two more read what is under way and what was sent and has not begun. The dispatch
and the forecast of the queue take the starts of one ``Schedule``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import (
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    QuerySet,
    Sum,
    Value,
    Window,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Extract, Now, Power, RowNumber

from leaderboard.submissions.actions.paces import UnderWay, pace_of
from leaderboard.submissions.fair_share import (
    AFFINE,
    HALF_LIFE_SECONDS,
    UNKNOWN_SECONDS,
    Fleet,
    Queue,
    Schedule,
    Usage,
    Waiting,
    Worker,
)
from leaderboard.submissions.models import Outbox, Run, seconds_from_now
from leaderboard.submissions.models.messages import OutboxQuerySet
from leaderboard.submissions.scheduling import Candidate, Needs

REMEMBERED_HALF_LIVES = 5
MOST_READ = 10_000
"""Attempts that are read at most, the first ones of all organisations before the second ones."""
SOON_SECONDS = 60.0
"""Time within which an evaluator is free that is sent a run because it has the weights."""
_ORGANISATION = "run__submission__model__organisation"
_ANYTHING = Needs(version=0, sets=frozenset())
_ANYONE = Candidate("", in_service=True, sets=frozenset(), reads=frozenset({0}))
"""Evaluator of a release that announces nothing: it is not known what it can do."""


@dataclass(frozen=True)
class Due:
    """Attempt of a run that waits, by the key of its outbox row; ``seconds`` None if unknown.

    It is ready from ``ready_at`` on, 0 where nothing keeps it.
    """

    outbox: int
    run: UUID
    organisation: int
    queued_at: float
    seconds: float | None
    ready_at: float = 0.0

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
            seconds=self.seconds,
            artefact=needs.artefact,
            ready_at=self.ready_at,
        )


class FairOrder:
    """Official attempts of a pool by fair share: who used what, and what is under way or sent.

    ``live`` are the runs that evaluators work on.
    """

    def __init__(
        self, pool: str, candidates: Sequence[Candidate], live: Sequence[UnderWay]
    ) -> None:
        self._pool = pool
        self._live = live
        self._candidates = [one for one in candidates if one.in_service]
        self.sent = self._read(Outbox.objects.sent())
        self._used = self._charged(candidates)

    def first(self, limit: int, *, each: int = AFFINE, held: bool = False) -> list[Due]:
        """Return the attempts that are due, of each organisation the oldest ``each``.

        At most ``limit``, of the organisations that used least lately. With ``held`` also those
        that wait for what no evaluator has.
        """
        attempts = Outbox.objects.queued() if held else Outbox.objects.due()
        place = Window(RowNumber(), partition_by=F(_ORGANISATION), order_by=F("pk").asc())
        placed = attempts.annotate(place=place).filter(place__lte=each).order_by("place", "pk")
        usage = Usage(self._used, now=0.0)
        numbers: Counter[int] = Counter()
        found = []
        for row in self._read(placed, limit=MOST_READ):
            if row.organisation not in usage:
                usage.add(row.organisation, 0.0, now=0.0)
            numbers[row.organisation] += 1
            found.append((numbers[row.organisation], row))
        turn = {organisation: number for number, organisation in enumerate(usage.order())}
        found.sort(key=lambda one: (one[0], turn[one[1].organisation]))
        return [due for _, due in found[:limit]]

    def paused(self, limit: int) -> list[Due]:
        """Return the attempts that are paused after a failure, the next one first."""
        return self._read(Outbox.objects.paused(), paused=True, limit=limit)

    def _read(
        self, attempts: OutboxQuerySet, *, paused: bool = False, limit: int | None = None
    ) -> list[Due]:
        pace = pace_of(self._pool)
        rows = (
            attempts.official()
            .filter(run__pool=self._pool)
            .values_list(
                "pk",
                "run",
                _ORGANISATION,
                "run__queued_at",
                "due",
                "run__submission__pair",
                "run__submission__kind",
                F("run__total") - F("run__done"),
            )
        )
        return [
            Due(
                outbox,
                run,
                organisation,
                queued_at.timestamp(),
                pace.seconds(pair=pair, kind=kind, items=items),
                due.timestamp() if paused else 0.0,
            )
            for outbox, run, organisation, queued_at, due, pair, kind, items in rows[:limit]
        ]

    def schedule(
        self, waiting: Iterable[Due], needs: Mapping[int, Needs], *, now: float
    ) -> Schedule:
        """Return the schedule of attempts on the evaluators that serve the pool.

        ``needs`` has the requirements of those that are to be chosen from, by outbox row.
        """
        fleet = Fleet(self._candidates or [_ANYONE])
        under_way = Counter(run.organisation for run in self._live if not run.practice)
        under_way.update(due.organisation for due in self.sent)
        queue = Queue(
            fleet,
            now=now,
            used=self._used,
            under_way=under_way,
            cap=settings.RUNS_AT_ONCE or None,
            reserving=settings.RESERVING_SECONDS,
        )
        for due in sorted(waiting, key=lambda due: due.outbox):
            if due.outbox in needs:
                queue.add(due.waiting(self.needs_of(due, needs)), now=now)
        free_at: dict[str, float] = {}
        ends = []
        for run in self._live:
            end = now + (run.left or 0.0)
            if not run.practice:
                ends.append((end, run.organisation))
            free_at[run.evaluator] = min(end, free_at.get(run.evaluator, end))
        workers = self._workers(fleet, free_at)
        return Schedule(queue, workers, now=now, ends=ends)

    def _workers(self, fleet: Fleet, free_at: Mapping[str, float]) -> list[Worker]:
        """Return the evaluators with the weights in their stores.

        Those of an evaluator that is not free soon, or not known to be, do not matter: nothing is
        to wait for it.
        """
        later = {run.evaluator for run in self._live if run.left is None or run.left > SOON_SECONDS}
        workers = []
        for one in fleet.serving:
            cached = frozenset() if one.name in later else one.fetched
            workers.append(Worker(one, free_at.get(one.name, 0.0), cached))
        return workers

    def needs_of(self, due: Due, needs: Mapping[int, Needs]) -> Needs:
        """Return the requirements of an attempt; none where no evaluator says what it can do."""
        return needs[due.outbox] if self._candidates else _ANYTHING

    def _charged(self, candidates: Sequence[Candidate]) -> dict[int, float]:
        """Return the GPU-seconds that each organisation used lately, with what is under way.

        A run under way counts with all that it is expected to take, as when it was given out.
        """
        gpus = {candidate.name: max(1, candidate.size[0]) for candidate in candidates}
        used: defaultdict[int, float] = defaultdict(float)
        for organisation, evaluator, seconds in _seconds_used(self._pool):
            used[organisation] += seconds * gpus.get(evaluator, 1)
        for run in self._live:
            left = max(0.0, UNKNOWN_SECONDS - run.elapsed) if run.left is None else run.left
            used[run.organisation] += (run.elapsed + left) * gpus.get(run.evaluator, 1)
        smallest = min((max(1, one.size[0]) for one in self._candidates), default=1)
        for due in self.sent:
            used[due.organisation] += due.charge * smallest
        return dict(used)


def _seconds_used(pool: str) -> "QuerySet[Run, tuple[int, str, float]]":
    """Return organisation, evaluator and seconds of runs that ended; older ones count less."""
    age = _epoch(Now() - F("ended_at")) / HALF_LIFE_SECONDS
    seconds = _epoch(F("ended_at") - F("started_at")) * Power(Value(0.5), age)
    remembered = seconds_from_now(-REMEMBERED_HALF_LIVES * HALF_LIFE_SECONDS)
    runs = Run.objects.filter(pool=pool, started_at__isnull=False, ended_at__gt=remembered)
    summed = (
        runs.order_by()
        .values("submission__model__organisation", "evaluator__name")
        .annotate(used=Sum(seconds, output_field=FloatField()))
    )
    return summed.values_list("submission__model__organisation", "evaluator__name", "used")


def _epoch(difference: Combinable) -> Cast:
    span = ExpressionWrapper(difference, output_field=DurationField())
    return Cast(Extract(span, "epoch"), FloatField())
