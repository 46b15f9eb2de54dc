"""The order in which an endpoint is asked says nothing of the set that a question is from."""

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from evaluator.contract import Finished, unpack_bits
from evaluator.pipeline import ask, attempt, plan
from tests.evaluator.installed import CANARY, Installed, install
from tests.evaluator.pipeline.attempts import (
    CHECKPOINT,
    ENDPOINT,
    URL,
    Acting,
    Bench,
    exposures,
    right,
)

N, RUNS = 30, 24


class Watching:
    """An endpoint that notes of each question, as it arrives, whether it is sealed."""

    def __init__(self) -> None:
        self.sealed: list[bool] = []
        self.asked: list[str] = []

    def answer(self, prompt: str) -> str:
        self.sealed.append(CANARY in prompt)
        self.asked.append(prompt)
        return right(prompt)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("order")).allowing(URL)


def runs(place: Installed, tmp_path: Path, patch: pytest.MonkeyPatch, count: int) -> list[Watching]:
    """So many runs of one endpoint, one after the other, each question alone on its way."""
    patch.setattr(os, "fsync", lambda descriptor: None)
    bench = Bench(place, patch)
    seen = []
    for _ in range(count):
        seen.append(Watching())
        bench.model = Acting(seen[-1].answer)
        bench.run_with(
            bench.context, place.job(ENDPOINT, limits={"seconds": 60.0, "concurrency": 1})
        )
    bench.finish()
    return seen


def distinguished(seen: Sequence[Watching]) -> str:
    """Return what in the order tells the sides apart beyond chance, empty where nothing does.

    Each figure is of RUNS orders of 2N questions, N of them sealed, and more than five standard errors from what a
    random order gives: mean place, the side of the first, and how often a question is of the side of the one before.
    """
    n = len(seen)
    places = [mean(at for at, sealed in enumerate(one.sealed) if sealed) for one in seen]
    middle, spread = (2 * N - 1) / 2, ((2 * N + 1) / 12) ** 0.5  # the rank-sum statistic's own
    if abs(mean(places) - middle) > 5 * spread / n**0.5:
        return "place"
    if not 0.5 - 2.5 / n**0.5 < mean(one.sealed[0] for one in seen) < 0.5 + 2.5 / n**0.5:
        return "first"
    same = [mean(a == b for a, b in itertools.pairwise(one.sealed)) for one in seen]
    if abs(mean(same) - (N - 1) / (2 * N - 1)) > 5 * 0.5 / (n * (2 * N - 1)) ** 0.5:
        return "neighbours"
    for at in range(2 * N):
        if sum(one.sealed[at] for one in seen) in (0, n):
            return f"place {at} is always of one side"
    return ""


def test_the_order_of_an_endpoints_runs_tells_no_sides_apart(
    place: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = runs(place, tmp_path, monkeypatch, RUNS)
    assert all(len(one.asked) == 2 * N and sum(one.sealed) == N for one in seen)
    assert distinguished(seen) == ""
    assert len({tuple(one.asked) for one in seen}) == RUNS, "each run has an order of its own"


def one_set_after_the_other(patch: pytest.MonkeyPatch) -> None:
    """As it was: the public set, then the sealed one."""

    async def unmixed(*about: Any, secret: bytes, **more: Any) -> None:
        await ask.ask_items(*about, **more)

    patch.setattr(attempt, "ask_items", unmixed)


def in_turn(patch: pytest.MonkeyPatch) -> None:
    """A public one, a sealed one, and so on."""

    def portions(sets: Any, *, size: int, names: Sequence[str], secret: bytes) -> Any:
        places = [
            [(position, index) for index in sorted(left)] for position, left in enumerate(sets)
        ]
        yield plan.Portion(tuple(itertools.chain.from_iterable(zip(*places, strict=True))))

    patch.setattr(ask, "portions", portions)


@pytest.mark.parametrize("break_it", [one_set_after_the_other, in_turn])
def test_it_does_on_a_build_that_has_another_order(
    place: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Any
) -> None:
    break_it(monkeypatch)
    assert distinguished(runs(place, tmp_path, monkeypatch, 8)) != ""


def test_what_is_left_comes_in_the_same_order_and_each_portion_costs_one_line_a_set() -> None:
    sets, names, secret = [range(40), range(25), range(0)], ["a", "b", "c"], b"s" * 32
    whole = [
        item
        for portion in plan.portions(sets, size=8, names=names, secret=secret)
        for item in portion.items
    ]
    assert sorted(whole) == [
        (position, index) for position, one in enumerate(sets) for index in one
    ]
    left = [[index for index in one if index % 3] for one in sets]
    rest = [
        item
        for portion in plan.portions(left, size=8, names=names, secret=secret)
        for item in portion.items
    ]
    assert rest == [item for item in whole if item[1] % 3]
    other = [
        item
        for portion in plan.portions(sets, size=8, names=names, secret=b"t" * 32)
        for item in portion.items
    ]
    assert other != whole
    cut = list(plan.portions(sets, size=8, names=names, secret=secret))
    assert all(len(one.items) <= 16 for one in cut) and len(cut) == 5, "two sets are open"
    for portion in cut:
        assert sorted(portion.items) == [
            (at, index) for at in portion.positions for index in portion.of(at)
        ]


def test_an_evaluator_that_is_started_again_draws_the_same_order_and_another_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(install(tmp_path / "a"), monkeypatch)
    again, other = bench.open(), Bench(install(tmp_path / "b"), monkeypatch).context
    mine = bench.context.vault.order_secret("run", 1)
    assert mine == again.vault.order_secret("run", 1) and len(mine) == 32
    assert len({mine, again.vault.order_secret("run", 2), other.vault.order_secret("run", 1)}) == 3


def test_of_each_portion_the_sealed_items_are_on_record_together_before_they_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(install(tmp_path), monkeypatch)
    bench.model = Acting(right)
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert isinstance(reports[-1].body, Finished)
    lines = exposures(reports)
    assert len(lines) == 1, "thirty sealed items of sixty are one portion"
    assert unpack_bits(lines[0].items, N) == frozenset(range(N))
