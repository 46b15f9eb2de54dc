"""The run that an evaluator takes next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fleet import facts
from evaluator.artefacts.placement import GIB
from evaluator.contract import HostFacts, HostGpu
from evaluator.errors import Code
from leaderboard.submissions.fair_share import (
    AGEING_SECONDS,
    HALF_LIFE_SECONDS,
    Fleet,
    Priority,
    Queue,
    Schedule,
    Start,
    Usage,
    Waiting,
    Worker,
)
from leaderboard.submissions.scheduling import Candidate, Needs

SMALL, LARGE, HUGE = (Needs(3, frozenset(), model=facts(size)) for size in (1.5, 70, 2000))


def worker(name: str, *, gpus: int = 1, memory: int = 24, serving: bool = True) -> Worker:
    gpu = HostGpu(name="GPU", memory=memory * GIB, bfloat16=True, count=gpus)
    host = HostFacts(gpus=(gpu,), memory=64 * GIB, engines=("vllm",))
    return Worker(Candidate(name, serving, frozenset(), frozenset({3}), host=host))


ONE, OTHER, BIG = worker("one"), worker("other"), worker("big", gpus=8, memory=80)


def queue(*workers: Worker, cap: int | None = None, **used: float) -> Queue:
    fleet = Fleet(one.candidate for one in workers)
    usage = {int(name[1:]): value for name, value in used.items()}
    return Queue(fleet, now=0.0, used=usage, cap=cap)


def run(key: object, organisation: int = 1, needs: Needs = SMALL, **more: object) -> Waiting:
    at = more.pop("at", 0.0)
    facts = {"queued_at": at, "seconds": 100.0} | more
    return Waiting(key=key, organisation=organisation, needs=needs, **facts)  # type: ignore[arg-type]


def taken(runs: Queue, *workers: Worker, now: float = 0.0) -> list[object]:
    """Let workers take runs in turn until none is left for them; return the keys."""
    keys: list[object] = []
    while True:
        before = len(keys)
        for one in workers:
            chosen = runs.next_for(one, workers, now=now)
            if chosen is not None:
                runs.begin(chosen, one, now=now)
                keys.append(chosen.key)
        if len(keys) == before:
            return keys


def test_organisations_take_turns_whatever_they_queue() -> None:
    runs = queue(ONE)
    for number in range(5):
        runs.add(run(f"flood {number}", 1, at=number), now=0.0)
    runs.add(run("late", 2, at=50.0), now=50.0)
    runs.add(run("later", 2, at=60.0), now=60.0)
    order = taken(runs, ONE, now=60.0)
    assert order[:4] == ["flood 0", "late", "flood 1", "later"]


def test_use_counts_half_after_its_half_life() -> None:
    usage = Usage({1: 100.0, 2: 60.0}, now=0.0)
    usage.add(2, 15.0, now=HALF_LIFE_SECONDS)
    assert list(usage.order()) == [2, 1]
    usage.add(2, 6.0, now=HALF_LIFE_SECONDS)
    assert list(usage.order()) == [1, 2]


def test_a_run_of_the_watch_list_waits_for_authors_until_it_has_aged() -> None:
    runs = queue(ONE, o2=1000.0)
    runs.add(run("watch", 1, priority=Priority.WATCH), now=0.0)
    runs.add(run("author", 2, at=10.0), now=10.0)
    first = runs.next_for(ONE, [ONE], now=20.0)
    aged = runs.next_for(ONE, [ONE], now=AGEING_SECONDS)
    assert (first and first.key, aged and aged.key) == ("author", "watch")


def test_an_organisation_at_its_cap_is_passed_over_until_a_run_ends() -> None:
    runs = queue(ONE, cap=1)
    begun = run("begun")
    for one in (begun, run("capped", at=1.0)):
        runs.add(one, now=1.0)
    runs.begin(begun, ONE, now=1.0)
    assert runs.next_for(ONE, [ONE], now=1.0) is None
    runs.end(begun, ONE, seconds=5.0, now=6.0)
    assert taken(runs, ONE, now=6.0) == ["capped"]


def test_nothing_waits_behind_a_run_that_fits_nowhere() -> None:
    runs = queue(ONE, BIG)
    runs.add(run("huge", 1, HUGE), now=0.0)
    runs.add(run("small", 1, at=1.0), now=1.0)
    assert taken(runs, ONE, BIG, now=1.0) == ["small"]
    assert len(runs) == 1


def test_the_code_of_what_is_missing_is_known() -> None:
    fleet = Fleet([ONE.candidate, BIG.candidate])
    away = Fleet([worker("away", serving=False).candidate])
    other_set = replace(SMALL, sets=frozenset({("set", True, "a" * 64)}))
    packed = replace(SMALL, model=replace_facts(quantisation="exl2"))
    found = [fleet.missing(needs) for needs in (SMALL, LARGE, HUGE, other_set, packed)]
    assert found == [None, None, Code.ENGINE_OOM, Code.UNKNOWN_SET, Code.ENGINE_MISSING]
    assert away.missing(SMALL) is Code.OUT_OF_SERVICE


def replace_facts(**changes: str) -> object:
    model = facts(1.5)
    return type(model).from_dict(model.to_dict() | changes)


def test_a_worker_out_of_service_takes_nothing() -> None:
    away = worker("away", serving=False)
    runs = queue(away)
    runs.add(run("waits"), now=0.0)
    assert taken(runs, away) == []


def test_a_large_worker_first_takes_what_only_it_can_do() -> None:
    runs = queue(ONE, BIG, o2=1e9)
    runs.add(run("small", 1), now=0.0)
    runs.add(run("large", 2, LARGE, at=5.0), now=5.0)
    assert taken(runs, BIG, now=5.0) == ["large", "small"]
    runs.add(run("aged", 1), now=0.0)
    runs.add(run("large", 2, LARGE, at=5.0), now=5.0)
    assert taken(runs, BIG, now=AGEING_SECONDS)[0] == "aged", "large ones starve no small one"


def test_weights_in_a_store_decide_among_the_oldest_of_an_organisation() -> None:
    runs = queue(ONE)
    for number in range(20):
        runs.add(run(number, artefact=f"weights {number}", at=number), now=20.0)
    near, far = (replace(ONE, cached=frozenset({f"weights {n}"})) for n in (7, 15))
    chosen = [runs.next_for(one, [one], now=20.0) for one in (near, far)]
    assert [one and one.key for one in chosen] == [7, 0]


def test_a_paused_large_run_reserves_a_worker_and_others_end_before_it() -> None:
    runs = queue(ONE, OTHER, BIG)
    runs.add(run("large", 2, LARGE, ready_at=300.0), now=0.0)
    for key, seconds in (("long", 301.0), ("unknown", None), ("short", 300.0)):
        runs.add(run(key, 1, seconds=seconds), now=0.0)
    fleet = [ONE, OTHER, BIG]
    chosen = runs.next_for(BIG, fleet, now=0.0)
    assert chosen and chosen.key == "short"
    runs.begin(chosen, BIG, now=0.0)
    assert runs.next_for(BIG, fleet, now=0.0) is None
    assert runs.next_for(ONE, fleet, now=0.0) is not None, "other workers go on"
    back = runs.next_for(BIG, fleet, now=300.0)
    assert back and back.key == "large"


waiting = st.builds(
    run,
    key=st.uuids(),
    organisation=st.integers(1, 4),
    needs=st.sampled_from([SMALL, LARGE, HUGE]),
    at=st.integers(0, 100).map(float),
    seconds=st.one_of(st.none(), st.integers(1, 10_000).map(float)),
    priority=st.sampled_from(Priority),
    ready_at=st.sampled_from([0.0, 0.0, 400.0]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(waiting, max_size=25), st.integers(1, 3))
def test_every_run_that_fits_is_taken_once_and_only_by_a_worker_that_can(
    all_runs: list[Waiting], cap: int
) -> None:
    runs = queue(ONE, OTHER, BIG, cap=cap)
    for one in all_runs:
        runs.add(one, now=100.0)
    found: Counter[object] = Counter()
    now = 100.0
    while now < 2000.0:
        now += 50.0
        begun = []
        for one in (ONE, OTHER, BIG):
            chosen = runs.next_for(one, [ONE, OTHER, BIG], now=now)
            if chosen is None:
                continue
            assert chosen.ready_at <= now
            assert chosen.needs.lacking(one.candidate) is None
            runs.begin(chosen, one, now=now)
            begun.append((chosen, one))
            found[chosen.key] += 1
        assert max(Counter(one.organisation for one, _ in begun).values(), default=0) <= cap
        for chosen, one in begun:
            runs.end(chosen, one, seconds=10.0, now=now)
    fitting = {one.key for one in all_runs if one.needs is not HUGE}
    assert found == Counter(dict.fromkeys(fitting, 1))
    assert len(runs) == len(all_runs) - len(fitting)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_organisations_get_equal_shares_while_they_have_runs(counts: list[int]) -> None:
    runs = queue(ONE)
    for organisation, number in enumerate(counts):
        for index in range(number):
            runs.add(run((organisation, index), organisation), now=0.0)
    order = [key[0] for key in taken(runs, ONE)]  # type: ignore[index]
    shared = order[: len(counts) * min(counts)]
    assert set(Counter(shared).values()) == {min(counts)}


# --- the schedule: what the dispatch sends and the forecast shows


def under_way_at(starts: list[Start], moment: float, organisation: int) -> int:
    return sum(
        start.given_at <= moment < start.at + start.run.charge
        for start in starts
        if start.run.organisation == organisation
    )


@settings(max_examples=60)
@given(
    work=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from([SMALL, LARGE]),
            st.integers(1, 400),
            st.sampled_from([0.0, 50.0]),
        ),
        max_size=20,
    ),
    cap=st.sampled_from([None, 1, 2]),
)
def test_every_run_starts_once_within_the_cap_and_no_worker_has_two(
    work: list[tuple[int, Needs, int, float]], cap: int | None
) -> None:
    workers = [ONE, OTHER, BIG]
    runs = queue(*workers, cap=cap)
    for number, (organisation, needs, seconds, ready_at) in enumerate(work):
        more = {"at": float(number), "seconds": float(seconds), "ready_at": ready_at}
        runs.add(run(number, organisation, needs, **more), now=20.0)
    starts = list(Schedule(runs, workers, now=20.0))
    assert sorted(str(start.run.key) for start in starts) == sorted(map(str, range(len(work))))
    by_worker: dict[str, float] = {}
    for start in starts:
        name = start.worker.candidate.name
        assert start.at >= max(start.given_at, start.run.ready_at, by_worker.get(name, 0.0))
        by_worker[name] = start.at + start.run.charge
        if cap is not None:
            assert under_way_at(starts, start.given_at, start.run.organisation) <= cap


def test_a_worker_that_is_busy_is_given_one_run_ahead() -> None:
    busy = replace(ONE, free_at=300.0)
    runs = queue(busy)
    for number in range(3):
        runs.add(run(number, at=float(number)), now=10.0)
    starts = [(one.run.key, one.given_at, one.at) for one in Schedule(runs, [busy], now=10.0)]
    assert starts == [(0, 10.0, 300.0), (1, 300.0, 400.0), (2, 400.0, 500.0)]


def test_runs_under_way_count_against_the_cap_until_they_end() -> None:
    fleet = Fleet([ONE.candidate])
    runs = Queue(fleet, now=0.0, under_way={1: 1}, cap=1)
    runs.add(run("capped", 1), now=0.0)
    runs.add(run("other", 2, at=1.0), now=1.0)
    starts = [(s.run.key, s.given_at) for s in Schedule(runs, [ONE], now=1.0, ends=[(60.0, 1)])]
    assert starts == [("other", 1.0), ("capped", 60.0)]


def started(*runs: Waiting, workers: Sequence[Worker], now: float = 0.0) -> dict[object, str]:
    """The worker of each run in a schedule of those that are given out now."""
    waiting = queue(*workers)
    for one in runs:
        waiting.add(one, now=now)
    starts = takewhile(lambda start: start.at <= now, Schedule(waiting, workers, now=now))
    return {start.run.key: start.worker.candidate.name for start in starts}


def test_of_idle_evaluators_the_one_with_the_weights_begins_the_run() -> None:
    first, second = worker("a"), replace(worker("b"), cached=frozenset({"w"}))
    run_of = [run("any", at=1.0), run("fetched", 2, at=2.0, artefact="w")]
    assert started(*run_of, workers=[first, second], now=5.0) == {"any": "a", "fetched": "b"}
    assert started(run_of[1], workers=[first, second], now=5.0) == {"fetched": "b"}
    plain = run("plain", at=1.0, artefact="another")
    assert started(plain, workers=[first, second], now=5.0) == {"plain": "a"}


@pytest.mark.parametrize(
    "change", ["busy", "larger", "out of service", "lacking"], ids=lambda change: change
)
def test_no_run_waits_for_an_evaluator_with_its_weights(change: str) -> None:
    """Nor does it take a larger one from the models that need it."""
    cached = frozenset({"w"})
    holder = {
        "busy": replace(worker("b"), free_at=50.0, cached=cached),
        "larger": replace(worker("b", gpus=8, memory=80), cached=cached),
        "out of service": replace(worker("b", serving=False), cached=cached),
        "lacking": replace(worker("b"), cached=cached),
    }[change]
    needs = replace(SMALL, declined={"b": Code.UNKNOWN_SET}) if change == "lacking" else SMALL
    wanted = run("run", needs=needs, artefact="w")
    found = started(wanted, workers=[worker("a"), holder])
    assert found == {"run": "a"}


def test_weights_never_decide_between_organisations() -> None:
    holder = replace(ONE, cached=frozenset({"w"}))
    runs = queue(holder, o2=500.0)
    runs.add(run("poor", 1, at=9.0), now=9.0)
    runs.add(run("rich", 2, at=0.0, artefact="w"), now=9.0)
    assert taken(runs, holder, now=9.0) == ["poor", "rich"]


def test_a_run_that_has_aged_is_passed_over_by_none() -> None:
    holder = replace(ONE, cached=frozenset({"w"}))
    for now, first in ((AGEING_SECONDS - 1, "fetched"), (AGEING_SECONDS, "old")):
        runs = queue(holder)
        runs.add(run("old", at=0.0), now=now)
        runs.add(run("fetched", at=1.0, artefact="w"), now=now)
        chosen = runs.next_for(holder, [holder], now=now)
        assert chosen and chosen.key == first
