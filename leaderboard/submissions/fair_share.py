"""Fair share: the run that an evaluator takes next. Pure; a moment is in seconds.

Of the runs that an evaluator can do, the first by these rules is next:

- A run has a priority class and rises by one for each ``AGEING_SECONDS`` that it has waited.
- In a class come first the runs that no smaller evaluator can do, so that a large model finds the
  evaluator that it needs. A run that has aged counts as one of them.
- Then organisations come by what they used lately, the least first: GPU-seconds, which count half
  after ``HALF_LIFE_SECONDS``.
- In an organisation the oldest run comes first, and before it one of the next ``AFFINE`` whose
  weights the evaluator has in its store. A run that has aged is passed over by none.

The evaluator with a run's weights in its store begins it in place of one that would fetch them, if
it is as large and free no later: which run is next does not change.

An organisation at its cap is passed over, and so is a run that fits nowhere: nothing waits behind
it. A run that is paused before its next attempt and that few evaluators can do reserves one of
them; until then that one takes only runs which end before.

Slurm orders by decayed usage and age too, and fills up before a reservation; Kueue passes over
what does not fit.
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import IntEnum
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from evaluator.errors import Code
from leaderboard.submissions.scheduling import Candidate, Needs

AGEING_SECONDS = 6 * 3600.0
HALF_LIFE_SECONDS = 4 * 3600.0
UNKNOWN_SECONDS = 600.0
AFFINE = 8
"""Runs of an organisation among which weights in a store decide."""
RESERVING_SHARE = 0.5
"""Share of the evaluators in service up to which a paused run reserves one of those it needs."""
RESERVING_SECONDS = 900.0
"""Longest time before its next attempt for which a run reserves an evaluator."""
Size = tuple[int, int]
"""GPUs of an evaluator, and their memory."""
MAINTAINERS = 0
"""Organisation that watched runs are charged to; no organisation has this key."""


class Priority(IntEnum):
    """Class of a run, the first first."""

    AUTHOR = 0
    WATCH = 1
    """Recurring run of the maintainers' watch list."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Attempt that waits, ready from ``ready_at``.

    ``seconds`` is how long it is expected to take, None if unknown: it is then charged with
    ``UNKNOWN_SECONDS``. ``artefact`` names its weights, as a store does.
    """

    key: Hashable
    organisation: int
    needs: Needs
    queued_at: float
    priority: Priority = Priority.AUTHOR
    seconds: float | None = None
    artefact: str = ""
    ready_at: float = 0.0

    @property
    def charge(self) -> float:
        """Return the seconds that its organisation is charged with when it begins."""
        return UNKNOWN_SECONDS if self.seconds is None else self.seconds

    def rank(self, now: float) -> int:
        """Return the class in which it competes now."""
        risen = int((now - self.queued_at) / AGEING_SECONDS)
        return max(0, self.priority - risen)


@dataclass(frozen=True, slots=True)
class Worker:
    """Place of an evaluator for one run: ``free_at`` it begins, ``cached`` are weights it has."""

    candidate: Candidate
    free_at: float = 0.0
    cached: frozenset[str] = frozenset()


class Usage:
    """GPU-seconds that each organisation used lately, halved every ``HALF_LIFE_SECONDS``.

    All decay alike, so a value is stored as it would be at one moment for all. Of organisations
    that used as much, the one that was added first comes first.
    """

    def __init__(self, used: Mapping[int, float], *, now: float) -> None:
        self._since = now
        self._values: dict[int, float] = {}
        self._places: dict[int, int] = {}
        self._order: list[tuple[float, int, int]] = []
        for organisation, gpu_seconds in used.items():
            self.add(organisation, gpu_seconds, now=now)

    def add(self, organisation: int, gpu_seconds: float, *, now: float) -> None:
        """Add to what an organisation used; a negative number corrects an earlier one."""
        before = self._values.get(organisation)
        place = self._places.setdefault(organisation, len(self._places))
        if before is not None:
            del self._order[bisect_left(self._order, (before, place, organisation))]
        half_lives = (now - self._since) / HALF_LIFE_SECONDS
        scaled = gpu_seconds * 2.0**half_lives
        after = max(0.0, (before or 0.0) + scaled)
        self._values[organisation] = after
        insort(self._order, (after, place, organisation))

    def __contains__(self, organisation: object) -> bool:
        return organisation in self._values

    def order(self) -> Iterable[int]:
        """Return the organisations, that with the least use first."""
        return (organisation for *_, organisation in self._order)


@dataclass(frozen=True, slots=True)
class _Able:
    """Evaluators in service that can do the runs of a shape: names, and size of the smallest."""

    names: frozenset[str]
    smallest: Size | None
    rare: bool


class Fleet:
    """Evaluators of a pool, and which of them can do which runs.

    Runs of one shape (``Needs.shape``) have the same number: they lack the same things.
    """

    def __init__(self, candidates: Iterable[Candidate] = ()) -> None:
        self._candidates = {candidate.name: candidate for candidate in candidates}
        self._numbers: dict[object, int] = {}
        self._needs: list[Needs] = []
        self._lacking: dict[str, list[Code | None]] = {}
        self._able: dict[int, _Able] = {}

    def put(self, candidate: Candidate) -> None:
        """Add an evaluator, or replace what is known of it."""
        before = self._candidates.get(candidate.name)
        self._candidates[candidate.name] = candidate
        self._able.clear()
        if before is None or replace(before, in_service=candidate.in_service) != candidate:
            self._lacking.pop(candidate.name, None)

    def number(self, needs: Needs) -> int:
        """Return the number of the shape of a run."""
        number = self._numbers.setdefault(needs.shape, len(self._needs))
        if number == len(self._needs):
            self._needs.append(needs)
        return number

    def lacking(self, candidate: Candidate) -> Sequence[Code | None]:
        """Return, by shape, the code of what an evaluator lacks; None where it can do the run."""
        codes = self._lacking.setdefault(candidate.name, [])
        for needs in self._needs[len(codes) :]:
            fits = needs.fits(candidate.takes)
            codes.append(needs.lacking(candidate) if fits else Code.OUT_OF_SERVICE)
        return codes

    def able(self, number: int) -> frozenset[str]:
        """Return the names of the evaluators in service that can do runs of a shape."""
        return self._able_to(number).names

    def smallest(self, number: int) -> Size | None:
        """Return the size of the smallest of them; None where there is none."""
        return self._able_to(number).smallest

    def missing(self, needs: Needs) -> Code | None:
        """Return the code of what the evaluators lack for a run; None where one can do it."""
        number = self.number(needs)
        if self.able(number):
            return None
        fitting = self._fitting(number)
        codes = [self.lacking(candidate)[number] for candidate in fitting]
        return next((code for code in codes if code), Code.OUT_OF_SERVICE)

    def is_rare(self, number: int) -> bool:
        """Return True for a shape that few of the places for its kind of run can do."""
        return self._able_to(number).rare

    @property
    def serving(self) -> list[Candidate]:
        """Return the evaluators in service."""
        return [candidate for candidate in self._candidates.values() if candidate.in_service]

    def _fitting(self, number: int) -> list[Candidate]:
        """Return the places in service that are for runs of this kind."""
        needs = self._needs[number]
        return [candidate for candidate in self.serving if needs.fits(candidate.takes)]

    def _able_to(self, number: int) -> _Able:
        if number not in self._able:
            fitting = self._fitting(number)
            able = [one for one in fitting if self.lacking(one)[number] is None]
            self._able[number] = _Able(
                names=frozenset(candidate.name for candidate in able),
                smallest=min((candidate.size for candidate in able), default=None),
                rare=len(able) <= RESERVING_SHARE * len(fitting),
            )
        return self._able[number]


Bucket = tuple[int, int]
"""Number of a shape, and a priority class."""
Rank = tuple[int, bool]
"""Class of a run, and True for one that a smaller worker can do too. The least comes first."""
_FIRST: Rank = (0, False)
_LAST: Rank = (len(Priority), True)


@dataclass(frozen=True, slots=True)
class _Offer:
    """Worker that is free from ``begin``: shapes of the runs that it can do, and of those that a
    smaller one can do too. From ``until`` it is reserved.
    """

    able: Set[int]
    smaller: Set[int]
    begin: float
    until: float | None
    now: float

    def ending_before(self, bucket: Sequence[Waiting]) -> Sequence[Waiting]:
        """Return those of the first runs of a bucket that end before it is reserved."""
        if self.until is None:
            return bucket
        longest = self.until - self.begin
        ending = []
        for run in bucket[:AFFINE]:
            if run.seconds is not None and run.seconds <= longest:
                ending.append(run)
        return ending


class Queue:
    """Runs that wait, and what each organisation used and has under way.

    ``cap`` bounds the runs that an organisation has under way at once. A paused run reserves an
    evaluator at most ``reserving`` seconds ahead.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        now: float,
        used: Mapping[int, float] | None = None,
        under_way: Mapping[int, int] | None = None,
        cap: int | None = None,
        reserving: float = RESERVING_SECONDS,
    ) -> None:
        self.fleet = fleet
        self.usage = Usage(used or {}, now=now)
        self._under_way = dict(under_way or {})
        self._cap = cap
        self._reserving = reserving
        self._runs: dict[Hashable, Waiting] = {}
        self._paused: dict[Hashable, Waiting] = {}
        self._buckets: dict[int, dict[Bucket, list[Waiting]]] = {}

    def __len__(self) -> int:
        return len(self._runs) + len(self._paused)

    def add(self, run: Waiting, *, now: float) -> None:
        """Add a run that waits."""
        if run.organisation not in self.usage:
            self.usage.add(run.organisation, 0.0, now=now)
        if run.ready_at > now:
            self._paused[run.key] = run
            return
        self._runs[run.key] = run
        buckets = self._buckets.setdefault(run.organisation, {})
        bucket = buckets.setdefault(self._bucket(run), [])
        insort(bucket, run, key=lambda one: one.queued_at)

    def remove(self, key: Hashable) -> None:
        """Remove a run, if it is there."""
        self._paused.pop(key, None)
        run = self._runs.pop(key, None)
        if run is None:
            return
        buckets = self._buckets[run.organisation]
        bucket = buckets[self._bucket(run)]
        bucket.remove(run)
        if not bucket:
            del buckets[self._bucket(run)]
        if not buckets:
            del self._buckets[run.organisation]

    def _bucket(self, run: Waiting) -> Bucket:
        return (self.fleet.number(run.needs), run.priority)

    def begin(self, run: Waiting, worker: Worker, *, now: float) -> None:
        """Take a run out for a worker, and charge its organisation with what it is to use."""
        self.remove(run.key)
        self._count(run.organisation, 1)
        self.usage.add(run.organisation, cost(worker, run.charge), now=now)

    def end(self, run: Waiting, worker: Worker, *, seconds: float, now: float) -> None:
        """Record that a run ended after so many seconds, and correct the charge."""
        self._count(run.organisation, -1)
        correction = cost(worker, seconds - run.charge)
        self.usage.add(run.organisation, correction, now=now)

    def release(self, organisation: int) -> None:
        """Record that one of the runs of an organisation that were under way has ended."""
        self._count(organisation, -1)

    def next_change(self, now: float) -> float | None:
        """Return the next moment at which a paused run is ready; None where none is paused."""
        moments = [run.ready_at for run in self._paused.values()]
        return min((moment for moment in moments if moment > now), default=None)

    @property
    def capped(self) -> bool:
        """Return True where the runs that an organisation has under way are bounded."""
        return self._cap is not None

    def reserved(self, workers: Sequence[Worker], *, now: float) -> frozenset[str]:
        """Return the names of the workers that paused runs have reserved."""
        if not self._paused:
            return frozenset()
        held = [one for one in workers if self._reserved_from(one, workers, now) is not None]
        return frozenset(one.candidate.name for one in held)

    def _count(self, organisation: int, step: int) -> None:
        self._under_way[organisation] = self._under_way.get(organisation, 0) + step

    def next_for(self, worker: Worker, workers: Sequence[Worker], *, now: float) -> Waiting | None:
        """Return the run that a worker takes next, None where it can do none of those that wait.

        ``workers`` are all of the pool: a paused run may reserve one of them.
        """
        if not worker.candidate.in_service:
            return None
        for run in list(self._paused.values()):
            if run.ready_at <= now:
                del self._paused[run.key]
                self.add(run, now=now)
        offer = self._offer(worker, workers, now)
        best: Rank = _LAST
        found: Sequence[Waiting] = []
        for organisation in self.usage.order():
            under_way = self._under_way.get(organisation, 0)
            if self._cap is not None and under_way >= self._cap:
                continue
            key, runs = self._first_of(organisation, offer)
            if key < best:
                best = key
                found = runs
            if best == _FIRST:
                break
        return _affine(found, worker, now) if found else None

    def _first_of(self, organisation: int, offer: _Offer) -> tuple[Rank, Sequence[Waiting]]:
        """Return the first runs of an organisation for a worker, and how they rank."""
        best: Rank = _LAST
        runs: list[Waiting] = []
        buckets = self._buckets.get(organisation, {})
        for (number, priority), bucket in buckets.items():
            if number not in offer.able:
                continue
            first = offer.ending_before(bucket)
            if not first:
                continue
            head = first[0]
            has_aged = offer.now - head.queued_at >= AGEING_SECONDS
            passes = number in offer.smaller and not has_aged
            rank = head.rank(offer.now) if priority else 0
            key = (rank, passes)
            if key < best:
                best = key
                runs = list(first[:AFFINE])
            elif key == best:
                runs.extend(first[:AFFINE])
        return best, runs

    def _offer(self, worker: Worker, workers: Sequence[Worker], now: float) -> _Offer:
        lacking = self.fleet.lacking(worker.candidate)
        able = {number for number, code in enumerate(lacking) if code is None}
        size = worker.candidate.size
        return _Offer(
            able=able,
            smaller={number for number in able if self.fleet.smallest(number) != size},
            begin=max(now, worker.free_at),
            until=self._reserved_from(worker, workers, now),
            now=now,
        )

    def _reserved_from(self, worker: Worker, workers: Sequence[Worker], now: float) -> float | None:
        """Return the moment from which a paused run has reserved a worker; None for none."""
        moments = []
        for run in self._paused.values():
            number = self.fleet.number(run.needs)
            able = self.fleet.able(number)
            can_do = worker.candidate.name in able
            if not can_do or not self.fleet.is_rare(number):
                continue
            if run.ready_at - now > self._reserving:
                continue
            fitting = [one for one in workers if one.candidate.name in able]
            first = min(fitting, key=lambda one: (one.free_at, one.candidate.size))
            if first.candidate.name == worker.candidate.name:
                moments.append(run.ready_at)
        return min(moments, default=None)


def cost(worker: Worker, seconds: float) -> float:
    """Return the GPU-seconds that a run takes from the others: all GPUs of its worker."""
    gpus, _ = worker.candidate.size
    return max(1, gpus) * seconds


def _affine(runs: Sequence[Waiting], worker: Worker, now: float) -> Waiting:
    """Return the oldest run, or until it has aged one of the next with weights in the store."""
    oldest, *later = sorted(runs, key=lambda run: run.queued_at)[:AFFINE]
    if now - oldest.queued_at >= AGEING_SECONDS:
        return oldest
    for run in (oldest, *later):
        if has_weights(worker, run):
            return run
    return oldest


def has_weights(worker: Worker, run: Waiting) -> bool:
    """Return True where a worker has a run's weights in its store."""
    return bool(run.artefact) and run.artefact in worker.cached


@dataclass(frozen=True, slots=True)
class Start:
    """Begin of a run: a worker is given it at ``given_at`` and begins it at ``at``."""

    run: Waiting
    worker: Worker
    given_at: float
    at: float


class _Place(NamedTuple):
    """Worker's place in the order of asking; it may be given a run from ``asked_at`` on."""

    asked_at: float
    free_at: float
    size: Size
    name: str


class Schedule:
    """Starts of the runs that wait, in the order in which workers are given them.

    A worker is given its next run when it begins the one before, so that one is ahead of each.
    ``ends`` are the moments at which runs under way are expected to end, with their organisations.
    """

    def __init__(
        self,
        queue: Queue,
        workers: Iterable[Worker],
        *,
        now: float,
        ends: Iterable[tuple[float, int]] = (),
    ) -> None:
        self.queue = queue
        self._workers = {worker.candidate.name: worker for worker in workers}
        self._ends = list(ends)
        heapify(self._ends)
        self._places: list[_Place] = []
        self._holders: dict[str, set[str]] = {}
        for name, worker in self._workers.items():
            free_at = max(now, worker.free_at)
            self._places.append(_Place(now, free_at, worker.candidate.size, name))
            for artefact in worker.cached:
                self._holders.setdefault(artefact, set()).add(name)
        heapify(self._places)

    @property
    def workers(self) -> list[Worker]:
        """Return the workers, as they are after all starts so far."""
        return list(self._workers.values())

    def sent(self, run: Waiting, *, now: float) -> Start | None:
        """Return the start of a run that was sent and charged before; None where it fits nowhere.

        It is taken by the worker that is free first of those that can do it.
        """
        number = self.queue.fleet.number(run.needs)
        able = self.queue.fleet.able(number)
        fitting = [place for place in self._places if place.name in able]
        if not fitting:
            return None
        place = min(fitting, key=lambda place: place[1:])
        self._places.remove(place)
        heapify(self._places)
        return self._start(run, self._workers[place.name], now)

    def __iter__(self) -> Iterator[Start]:
        idle: dict[object, list[_Place]] = {}
        now = float("-inf")
        while len(self.queue):
            change: float | None = None
            if idle:
                # A worker that found no run may find one when a run gets ready, under a cap also
                # when one ends.
                change = self.queue.next_change(now)
                if self.queue.capped and self._ends:
                    next_end = self._ends[0][0]
                    change = next_end if change is None else min(change, next_end)
            next_asked = self._places[0].asked_at if self._places else float("inf")
            if change is not None and change <= next_asked:
                now = change
                for kind in list(idle):
                    self._wake(idle, kind, now)
                continue
            if not self._places:
                return
            place = heappop(self._places)
            now = place.asked_at
            self._release(now)
            worker = self._workers[place.name]
            # What one worker does not find, no other one of its kind does: they may be hundreds.
            lacking = self.queue.fleet.lacking(worker.candidate)
            kind = (place.size, tuple(lacking))
            run = self.queue.next_for(worker, self.workers, now=now)
            if run is not None:
                worker = self._with_weights(run, worker, place)
                self.queue.begin(run, worker, now=now)
                yield self._start(run, worker, now)
                self._wake(idle, kind, now)
            else:
                idle.setdefault(kind, []).append(place)

    def _with_weights(self, run: Waiting, worker: Worker, place: _Place) -> Worker:
        """Return the worker that begins a run: one that has its weights, else ``worker``.

        Only one that is asked now, is as large, is free no later and is not reserved takes the
        place of ``worker``, which is asked again.
        """
        holders = self._holders.get(run.artefact, set())
        if not holders or place.name in holders:
            return worker
        number = self.queue.fleet.number(run.needs)
        able = holders & self.queue.fleet.able(number)
        able -= self.queue.reserved(self.workers, now=place.asked_at)
        fitting = []
        for other in self._places:
            takes_run = other.name in able and other.size == place.size
            in_time = other.asked_at <= place.asked_at and other.free_at <= place.free_at
            if takes_run and in_time:
                fitting.append(other)
        if not fitting:
            return worker
        chosen = min(fitting)
        self._places.remove(chosen)
        self._places.append(place)
        heapify(self._places)
        return self._workers[chosen.name]

    def _wake(self, idle: dict[object, list[_Place]], kind: object, now: float) -> None:
        """Let an idle worker of a kind be asked again; all where a run may reserve one of them."""
        self._release(now)
        places = idle.pop(kind, [])
        may_reserve = self.queue.next_change(now) is not None
        number = len(places) if may_reserve else 1
        for place in places[:number]:
            free_at = max(now, place.free_at)
            heappush(self._places, place._replace(asked_at=now, free_at=free_at))
        if places[number:]:
            idle[kind] = places[number:]

    def _release(self, now: float) -> None:
        """Count the runs that have ended by now no longer."""
        while self._ends and self._ends[0][0] <= now:
            _, organisation = heappop(self._ends)
            self.queue.release(organisation)

    def _start(self, run: Waiting, worker: Worker, now: float) -> Start:
        name = worker.candidate.name
        begin = max(now, worker.free_at)
        end = begin + run.charge
        self._workers[name] = replace(worker, free_at=end)
        heappush(self._ends, (end, run.organisation))
        heappush(self._places, _Place(begin, end, worker.candidate.size, name))
        return Start(run, worker, now, begin)
