"""Fleet of 1,000 GPUs under 10,000 submissions: ``python -m bench.fleet [--seed 1]``.

A simulated clock drives the site's own order of runs (``fair_share``). Organisations submit by
Zipf's law and in bursts, lengths have a heavy tail and are estimated with an error, evaluators fail
and come back. Printed, next to first come first served and greedy best fit:

- *utilisation*: the GPUs that runs need over the most that any assignment of the unfinished runs to
  the evaluators in service could need at each moment. Goal: 95%.
- *unfair*: of the organisation that fares worst, the time from submission to result over what it
  would be on a share of its own: of each kind of evaluator one part in N, where N organisations
  have unfinished runs. The watch list waits for others by intent and is left out. Goal: 2.
- *p99 wait*: hours until a run begins.
- *in store*: the share of the begins where the evaluator had the weights. It keeps those of its
  last four runs; a run is of one of six models of its organisation.
- *decision*: milliseconds for the choice of a run where 10,000 wait. Goal: 5 for 99 in 100.

The same seed prints the same, but for the last line. Exits 1 where a goal is not met.
"""

import argparse
import heapq
import random
import sys
import time
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, count
from operator import attrgetter
from statistics import mean, quantiles

from evaluator.artefacts.placement import GIB
from evaluator.contract import HostFacts, HostGpu
from evaluator.contract.hub import ModelFacts
from leaderboard.submissions.fair_share import (
    Fleet,
    Priority,
    Queue,
    Waiting,
    Worker,
    has_weights,
)
from leaderboard.submissions.scheduling import Candidate, Needs

BILLION = 1_000_000_000
HOUR = 3600.0
# Number of evaluators, GPUs of each, GiB of a GPU: 1,000 GPUs of five kinds.
KINDS = (
    (304, 1, 24),
    (200, 1, 48),
    (300, 1, 80),
    (25, 4, 80),
    (12, 8, 141),
)
# Parameters in billions, GPUs that it needs at least, share of the submissions.
MODELS = (
    (1.5, 1, 0.40),
    (7, 1, 0.26),
    (13, 1, 0.15),
    (32, 1, 0.15),
    (70, 2, 0.03),
    (235, 4, 0.01),
)
ORGANISATIONS = 400
WATCHING = 9
"""Organisation of the maintainers, all of whose runs are on the watch list."""
ARRIVING_SECONDS = 6 * HOUR
MEAN_SECONDS = 0.7 * HOUR
LONGEST_SECONDS = 8 * HOUR
BETWEEN_FAILURES = 100 * HOUR
REPAIR_SECONDS = 0.5 * HOUR
LOST_SECONDS = 120.0
"""Time until a lost run is queued again, and what its second start costs it."""
AHEAD_SECONDS = 60.0
"""An evaluator is given its next run so long before it is expected to be free."""
EXPIRY_SECONDS = 240.0
"""A run that an evaluator has not begun so long after it was given goes back to the queue."""
LATENCY_SECONDS = 2.0
STORED = 4
"""Weights in an evaluator's store: those of its last runs."""
STEP = 120.0
UTILISATION = 0.95
UNFAIR = 2.0
DECISION_MS = 5.0


class Plain:
    """First come first served of the runs that an evaluator can do; ``largest`` ones first."""

    def __init__(self, fleet: Fleet, *, largest: bool) -> None:
        self._fleet = fleet
        self._largest = largest
        self._shapes: dict[int, list[Waiting]] = defaultdict(list)

    def add(self, run: Waiting, *, now: float) -> None:
        """Add a run."""
        shape = self._fleet.number(run.needs)
        insort(self._shapes[shape], run, key=attrgetter("queued_at"))

    def begin(self, run: Waiting, worker: Worker, *, now: float) -> None:
        """Take a run out."""
        shape = self._fleet.number(run.needs)
        self._shapes[shape].remove(run)

    def end(self, run: Waiting, worker: Worker, *, seconds: float, now: float) -> None:
        """Nothing is counted."""

    def next_for(self, worker: Worker, workers: Sequence[Worker], *, now: float) -> Waiting | None:
        """Return the next run."""
        lacking = self._fleet.lacking(worker.candidate)
        able = []
        for shape, runs in self._shapes.items():
            if runs and lacking[shape] is None:
                able.append(runs[0])
        return min(able, key=self._key, default=None)

    def _key(self, run: Waiting) -> tuple[float, float]:
        memory = 0
        if self._largest and run.needs.model:
            memory = run.needs.model.weights
        return (-memory, run.queued_at)


@dataclass
class Submission:
    """One run: its true length in seconds, the GPUs it needs, when it began and ended."""

    waiting: Waiting
    length: float
    gpus: int
    model: int
    left: float = 0.0
    began: float | None = None
    ended: float = 0.0


@dataclass
class Machine:
    """Evaluator in the simulation."""

    worker: Worker
    kind: int
    current: Submission | None = None
    ahead: Submission | None = None
    since: float = 0.0
    up: bool = True
    turn: int = 0
    stored: list[str] = field(default_factory=list)


@dataclass
class Figures:
    """Result of one policy."""

    name: str
    useful: float = 0.0
    possible: float = 0.0
    unfinished: list[tuple[float, int]] = field(default_factory=list)
    submissions: list[Submission] = field(default_factory=list)
    unfair: float = 0.0
    begun: int = 0
    fetched: int = 0

    @property
    def utilisation(self) -> float:
        """Return the share of the GPUs that could have been needed."""
        return self.useful / self.possible

    @property
    def in_store(self) -> float:
        """Return the share of the begins where the evaluator had the weights."""
        return self.fetched / self.begun

    @property
    def p99_wait(self) -> float:
        """Return hours."""
        waits = []
        for one in self.submissions:
            began = one.began or 0.0
            waits.append(began - one.waiting.queued_at)
        return quantiles(waits, n=100)[98] / HOUR


def facts(billions: float) -> ModelFacts:
    """Return a model of a size, with two bytes a parameter."""
    parameters = int(billions * BILLION)
    return ModelFacts(
        architecture="LlamaForCausalLM",
        parameters=parameters,
        weights=2 * parameters,
        cached=int(16_000 * billions**0.5),
        context=4096,
        heads=64,
        chat=False,
    )


def needs_of(billions: float) -> Needs:
    """Return the needs of a run of a model of a size."""
    return Needs(3, frozenset(), model=facts(billions))


def machines() -> list[Machine]:
    """Return the fleet."""
    found = []
    for kind, (number, gpus, memory) in enumerate(KINDS):
        gpu = HostGpu(
            name=f"kind {kind}",
            memory=memory * GIB,
            bfloat16=True,
            count=gpus,
        )
        host = HostFacts(gpus=(gpu,), memory=512 * GIB, engines=("vllm",))
        for index in range(number):
            name = f"k{kind}-{index:03}"
            reads = frozenset({3})
            candidate = Candidate(name, True, frozenset(), reads, host=host)
            found.append(Machine(Worker(candidate), kind))
    return found


def submissions(number: int, rng: random.Random) -> list[Submission]:
    """Return runs by Zipf's law over organisations, in bursts, with lengths of a heavy tail."""
    zipf = (1 / rank for rank in range(1, ORGANISATIONS + 1))
    weights = list(accumulate(zipf))
    needs = [needs_of(billions) for billions, _, _ in MODELS]
    shares = list(accumulate(share for _, _, share in MODELS))
    found: list[Submission] = []
    while len(found) < number:
        organisation = rng.choices(range(ORGANISATIONS), cum_weights=weights)[0]
        moment = rng.uniform(0, ARRIVING_SECONDS)
        size = rng.choices(range(len(MODELS)), cum_weights=shares)[0]
        burst = int(rng.paretovariate(1.2))
        for _ in range(min(number - len(found), burst)):
            length = min(LONGEST_SECONDS, MEAN_SECONDS * 0.375 * rng.paretovariate(1.6))
            expected = length * rng.lognormvariate(0, 0.3)
            watched = organisation == WATCHING
            waiting = Waiting(
                key=len(found),
                organisation=organisation,
                needs=needs[size],
                queued_at=moment,
                priority=Priority.WATCH if watched else Priority.AUTHOR,
                seconds=expected,
                artefact=f"{organisation}-{size}",
            )
            _, gpus, _ = MODELS[size]
            found.append(Submission(waiting, length, gpus, size, left=length))
            moment += rng.expovariate(1 / 20)
    return sorted(found, key=attrgetter("waiting.queued_at", "waiting.key"))


class Simulation:
    """One policy on one fleet, under the same submissions and the same failures."""

    def __init__(
        self,
        name: str,
        fleet: Fleet,
        policy: Queue | Plain,
        work: list[Submission],
        seed: int,
    ):
        self.figures = Figures(name, submissions=[replace(one) for one in work])
        self._by_key = {one.waiting.key: one for one in self.figures.submissions}
        self._fleet = fleet
        self._policy = policy
        self._machines = machines()
        self._rng = random.Random(seed)  # noqa: S311
        self._events: list[tuple[float, int, str, object]] = []
        self._number = count()
        self._now = 0.0
        self._idle = {machine.worker.candidate.name: machine for machine in self._machines}
        self._up = Counter(machine.kind for machine in self._machines)
        self._running: Counter[int] = Counter()
        self._unfinished: Counter[int] = Counter()
        self._of_organisation: Counter[int] = Counter()

    def run(self) -> Figures:
        """Run until all submissions have ended."""
        for one in self.figures.submissions:
            self._at(one.waiting.queued_at, "submit", one)
        for machine in self._machines:
            self._after(self._rng.expovariate(1 / BETWEEN_FAILURES), "fail", machine)
        left = len(self.figures.submissions)
        while left:
            moment, _, what, about = heapq.heappop(self._events)
            seconds = moment - self._now
            useful = 0
            for model, number in self._running.items():
                _, gpus, _ = MODELS[model]
                useful += gpus * number
            self.figures.useful += useful * seconds
            self.figures.possible += most(self._unfinished, self._up) * seconds
            self._now = moment
            log = self.figures.unfinished
            if not log or moment - log[-1][0] >= STEP:
                log.append((moment, len(self._of_organisation)))
            happen = getattr(self, f"_{what}")
            left -= happen(about) or 0
        return self.figures

    def _at(self, moment: float, what: str, about: object) -> None:
        event = (moment, next(self._number), what, about)
        heapq.heappush(self._events, event)

    def _after(self, seconds: float, what: str, about: object) -> None:
        self._at(self._now + seconds, what, about)

    def _submit(self, one: Submission) -> None:
        self._unfinished[one.model] += 1
        self._of_organisation[one.waiting.organisation] += 1
        self._queue(one)

    def _queue(self, one: Submission) -> None:
        self._policy.add(one.waiting, now=self._now)
        shape = self._fleet.number(one.waiting.needs)
        able = self._fleet.able(shape)
        idle = [machine for name, machine in self._idle.items() if name in able]
        if idle:
            first = min(idle, key=lambda machine: self._turn(machine.worker, one))
            self._ask((first, first.turn))

    def _turn(self, worker: Worker, one: Submission) -> tuple[object, ...]:
        """Return the key by which the site asks an idle worker: smallest first, with weights."""
        is_fair = isinstance(self._policy, Queue)
        fetches = is_fair and not has_weights(worker, one.waiting)
        return (worker.candidate.size, fetches)

    def _ask(self, about: tuple[Machine, int]) -> None:
        machine, turn = about
        if turn != machine.turn or machine.ahead is not None or not machine.up:
            return
        workers = [machine.worker]
        chosen = self._policy.next_for(machine.worker, workers, now=self._now)
        if chosen is None:
            return
        self._policy.begin(chosen, machine.worker, now=self._now)
        machine.ahead = self._by_key[chosen.key]
        if machine.current is None:
            self._begin(machine)
        else:
            self._after(EXPIRY_SECONDS, "expire", (machine, machine.turn))

    def _expire(self, about: tuple[Machine, int]) -> None:
        machine, turn = about
        if turn != machine.turn or machine.ahead is None:
            return
        one = machine.ahead
        machine.ahead = None
        self._give_back(one, machine)
        self._queue(one)

    def _give_back(self, one: Submission, machine: Machine) -> None:
        self._policy.end(
            one.waiting,
            machine.worker,
            seconds=0.0,
            now=self._now,
        )

    def _begin(self, machine: Machine) -> None:
        one = machine.ahead
        if one is None:
            return
        machine.ahead = None
        self._idle.pop(machine.worker.candidate.name, None)
        machine.current = one
        machine.since = self._now
        machine.turn += 1
        self._running[one.model] += 1
        self.figures.fetched += has_weights(machine.worker, one.waiting)
        self.figures.begun += 1
        if one.began is None:
            one.began = self._now
        whole = one.waiting.seconds or 0.0
        expected = whole * one.left / one.length
        machine.stored = [*machine.stored, one.waiting.artefact][-STORED:]
        machine.worker = replace(
            machine.worker,
            free_at=self._now + expected,
            cached=frozenset(machine.stored),
        )
        about = (machine, machine.turn)
        self._after(max(0.0, expected - AHEAD_SECONDS), "ask", about)
        self._after(one.left, "end", about)

    def _end(self, about: tuple[Machine, int]) -> int:
        machine, turn = about
        if turn != machine.turn or machine.current is None:
            return 0
        one = machine.current
        self._stop(machine, one)
        one.ended = self._now
        self._unfinished[one.model] -= 1
        organisation = one.waiting.organisation
        self._of_organisation[organisation] -= 1
        if not self._of_organisation[organisation]:
            del self._of_organisation[organisation]
        if machine.ahead is not None:
            self._begin(machine)
        else:
            self._free(machine)
        return 1

    def _free(self, machine: Machine) -> None:
        machine.turn += 1
        self._idle[machine.worker.candidate.name] = machine
        self._after(LATENCY_SECONDS, "ask", (machine, machine.turn))

    def _stop(self, machine: Machine, one: Submission) -> None:
        used = self._now - machine.since
        self._running[one.model] -= 1
        machine.current = None
        self._policy.end(
            one.waiting,
            machine.worker,
            seconds=used,
            now=self._now,
        )

    def _fail(self, machine: Machine) -> None:
        lost = [one for one in (machine.current, machine.ahead) if one is not None]
        if machine.current is not None:
            one = machine.current
            one.left = one.left - (self._now - machine.since) + LOST_SECONDS
            self._stop(machine, one)
        if machine.ahead is not None:
            self._give_back(machine.ahead, machine)
            machine.ahead = None
        for one in lost:
            one.waiting = replace(one.waiting, ready_at=self._now + LOST_SECONDS)
            self._after(LOST_SECONDS, "queue", one)
        machine.turn += 1
        self._serve(machine, up=False)
        self._after(REPAIR_SECONDS, "repair", machine)

    def _repair(self, machine: Machine) -> None:
        self._serve(machine, up=True)
        self._free(machine)
        self._after(self._rng.expovariate(1 / BETWEEN_FAILURES), "fail", machine)

    def _serve(self, machine: Machine, *, up: bool) -> None:
        machine.up = up
        self._up[machine.kind] += 1 if up else -1
        candidate = replace(machine.worker.candidate, in_service=up)
        machine.worker = replace(machine.worker, candidate=candidate)
        self._fleet.put(candidate)
        self._idle.pop(candidate.name, None)


def fitting_kinds() -> list[int]:
    """Return the first kind that holds each model. Every later kind holds it too."""
    fleet = Fleet(machine.worker.candidate for machine in machines())
    found = []
    for billions, _, _ in MODELS:
        shape = fleet.number(needs_of(billions))
        able = fleet.able(shape)
        kinds = {int(name[1]) for name in able}
        if kinds != set(range(min(kinds), len(KINDS))):
            raise ValueError(f"kinds of {billions} are not nested")
        found.append(min(kinds))
    return found


FIRST_KIND = fitting_kinds()


def most(unfinished: Counter[int], up: Counter[int]) -> int:
    """Return the most GPUs that unfinished runs could need at once, one run to an evaluator.

    The largest first is best: what holds a model holds all smaller ones.
    """
    total = left = 0
    kind = len(KINDS)
    for model in reversed(range(len(MODELS))):
        while kind > FIRST_KIND[model]:
            kind -= 1
            left += up[kind]
        placed = min(unfinished[model], left)
        left -= placed
        _, gpus, _ = MODELS[model]
        total += placed * gpus
    return total


def worst_share(figures: Figures) -> float:
    """Return the largest time of an organisation over that on a share of its own."""
    by_organisation: dict[int, list[Submission]] = defaultdict(list)
    for one in figures.submissions:
        by_organisation[one.waiting.organisation].append(one)
    ratios = []
    del by_organisation[WATCHING]
    for runs in by_organisation.values():
        taken = sum(one.ended - one.waiting.queued_at for one in runs)
        ratios.append(taken / alone(runs, figures.unfinished))
    return max(ratios)


def alone(
    runs: Sequence[Submission],
    unfinished: Sequence[tuple[float, int]],
) -> float:
    """Return the seconds from submission to result, of all runs, on a share of their own."""
    waiting = list(runs)
    left = {one.waiting.key: one.length for one in runs}
    total = 0.0
    moment = 0.0
    end = (float("inf"), 1)
    sharing = iter([*unfinished, end])
    _, number = next(sharing)
    following = next(sharing)
    while waiting:
        while moment >= following[0]:
            _, number = following
            following = next(sharing)
        capacity = [kind[0] / max(1, number) for kind in KINDS]
        for one in list(waiting):
            if one.waiting.queued_at > moment or sum(capacity) < 1e-9:
                break
            rate = 0.0
            for kind in range(FIRST_KIND[one.model], len(KINDS)):
                taken = min(1.0 - rate, capacity[kind])
                capacity[kind] -= taken
                rate += taken
            left[one.waiting.key] -= rate * STEP
            if left[one.waiting.key] <= 0:
                waiting.remove(one)
                ended = moment + STEP + left[one.waiting.key] / rate
                total += max(one.length, ended - one.waiting.queued_at)
        moment += STEP
    return total


def decisions(work: Sequence[Submission]) -> list[float]:
    """Return the milliseconds of each of 1,000 decisions where all submissions wait."""
    fleet = Fleet(machine.worker.candidate for machine in machines())
    queue = Queue(fleet, now=0.0)
    for one in work:
        queue.add(replace(one.waiting, queued_at=0.0), now=0.0)
    found = []
    for machine in (machines() * 2)[:1000]:
        begun = time.perf_counter()
        chosen = queue.next_for(machine.worker, [machine.worker], now=1.0)
        found.append(1000 * (time.perf_counter() - begun))
        if chosen is not None:
            queue.begin(chosen, machine.worker, now=1.0)
            again = replace(chosen, key=("again", chosen.key))
            queue.add(again, now=1.0)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures. Returns the exit code."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--submissions", type=int, default=10_000)
    options = parser.parse_args(arguments)
    work = submissions(options.submissions, random.Random(options.seed))  # noqa: S311
    gpus = sum(number * each for number, each, _ in KINDS)
    print(f"{len(work):,} submissions of {ORGANISATIONS} organisations, {gpus:,} GPUs")
    print(f"mean length {mean(one.length for one in work) / HOUR:.2f} h")
    results = []
    for name in ("fair share", "first come", "best fit"):
        fleet = Fleet(machine.worker.candidate for machine in machines())
        policy: Queue | Plain
        if name == "fair share":
            policy = Queue(fleet, now=0.0)
        else:
            policy = Plain(fleet, largest=name == "best fit")
        figures = Simulation(name, fleet, policy, work, options.seed).run()
        figures.unfair = worst_share(figures)
        results.append(figures)
        print(
            f"{name:12} utilisation {figures.utilisation:6.1%}   unfair {figures.unfair:6.2f}"
            f"   p99 wait {figures.p99_wait:5.2f} h   in store {figures.in_store:.1%}"
        )
    ours = results[0]
    times = quantiles(decisions(work), n=100)
    met = {
        f"utilisation of at least {UTILISATION:.0%}": ours.utilisation >= UTILISATION,
        f"no organisation above {UNFAIR:g} × its share": ours.unfair <= UNFAIR,
        f"a decision within {DECISION_MS:g} ms": times[98] <= DECISION_MS,
    }
    for goal, reached in met.items():
        print(f"{'met' if reached else 'NOT MET':8} {goal}")
    print(f"decision {times[49]:.2f} ms in the median, {times[98]:.2f} ms in 99 of 100")
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
