"""The simulated fleet: its bound on use, and the same figures for the same seed."""

import random
from collections import Counter
from itertools import product

import pytest

from bench import fleet
from leaderboard.submissions.fair_share import Fleet, Queue


def simulated(*, largest: bool | None) -> fleet.Figures:
    work = fleet.submissions(300, random.Random(5))
    machines = Fleet(machine.worker.candidate for machine in fleet.machines())
    policy: Queue | fleet.Plain = Queue(machines, now=0.0)
    if largest is not None:
        policy = fleet.Plain(machines, largest=largest)
    return fleet.Simulation("one", machines, policy, work, 5).run()


def test_the_same_seed_gives_the_same_figures_and_every_run_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fewer = tuple((max(1, number // 50), gpus, memory) for number, gpus, memory in fleet.KINDS)
    monkeypatch.setattr(fleet, "KINDS", fewer)
    first, second = simulated(largest=None), simulated(largest=None)
    ended = [one.ended for one in first.submissions]
    assert ended == [one.ended for one in second.submissions]
    assert all(one.ended >= one.waiting.queued_at + one.length for one in first.submissions)
    assert 0 < first.utilisation <= 1
    assert ended != [one.ended for one in simulated(largest=True).submissions]


def test_the_bound_is_that_of_the_best_assignment() -> None:
    """A few runs and evaluators, every assignment tried."""
    rng = random.Random(3)
    for _ in range(40):
        runs = [rng.randrange(len(fleet.MODELS)) for _ in range(rng.randrange(5))]
        kinds = [rng.randrange(len(fleet.KINDS)) for _ in range(rng.randrange(4))]
        best = 0
        for chosen in product([None, *range(len(runs))], repeat=len(kinds)):
            used = [run for run in chosen if run is not None]
            fits = all(
                fleet.FIRST_KIND[runs[run]] <= kind
                for run, kind in zip(chosen, kinds, strict=True)
                if run is not None
            )
            if fits and len(set(used)) == len(used):
                best = max(best, sum(fleet.MODELS[runs[run]][1] for run in used))
        assert fleet.most(Counter(runs), Counter(kinds)) == best
