"""Adaptive runs on the evaluator: it asks what the plan chooses, and follows the first plan only."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from evaluator.contract import (
    AdaptiveStep,
    Easiness,
    Finished,
    Plan,
    item_order,
    pack_bits,
    pack_bytes,
    unpack_bits,
)
from evaluator.errors import Code
from evaluator.pipeline.attempt import run_job
from tests.evaluator.installed import install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, URL, Bench, exposures, last_code

N = 30
REFERENCES = tuple(f"00000000-0000-4000-8000-{number:012}" for number in range(8))
LOOKS = (5, 10)
PUBLIC = bytes(index % 9 for index in range(N))
PRIVATE = bytes((index * 5) % 9 for index in range(N))
SEED = "5e" * 32
RUN = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(install(tmp_path).allowing(URL), monkeypatch)


def step(bench: Bench, look: int, *, right: int = N, **changes: Any) -> AdaptiveStep:
    easiness = Easiness(public=pack_bytes(PUBLIC), private=pack_bytes(PRIVATE), salt="5a" * 32)
    fields: dict[str, Any] = {
        "method": "adaptive-1",
        "run": RUN,
        "set": "closed",
        "root": bench.place.sets["closed"]["digest"],
        "looks": LOOKS,
        "levels": (0.001, 0.01),
        "futility": (0.0,),
        "references": REFERENCES,
        "seed": SEED,
        "easiness": easiness.digest(),
    }
    plan = Plan(**fields | changes)
    return AdaptiveStep(plan=plan, easiness=easiness, right=right if look else 0, look=look)


def job(bench: Bench, at: AdaptiveStep, *, items: frozenset[int] | None = None) -> dict[str, Any]:
    """The job of a look: public items at look 0, then what the plan chooses."""
    chosen = at.chosen() if items is None else items
    done = {"open": range(N)} if at.look else {}
    made = bench.place.job(ENDPOINT, done=done, run=RUN, token=at.look + 1)
    made["sets"][1]["without"] = pack_bits(frozenset(range(N)) - chosen, N)
    return made | {"adaptive": at.to_dict()}


def asked(reports: list[Any], name: str) -> set[int]:
    return {index for of, index in outcomes(reports) if of == name}


def test_public_items_come_first_and_then_what_the_plan_chooses(bench: Bench) -> None:
    run_job(job(bench, step(bench, 0)), bench.context)
    run_job(job(bench, step(bench, 1)), bench.context)
    reports = bench.finish()
    order = item_order(PUBLIC, PRIVATE, right=N, references=len(REFERENCES), seed=SEED)
    assert asked(reports, "open") == set(range(N))
    assert asked(reports, "closed") == set(order[: LOOKS[0]])
    assert sum(isinstance(report.body, Finished) for report in reports) == 2
    shown = exposures(reports)
    assert {line.plan for line in shown} == {step(bench, 1).plan.digest()}
    assert set().union(*(unpack_bits(line.items, N) for line in shown)) == set(order[: LOOKS[0]])


def another_seed(bench: Bench) -> dict[str, Any]:
    return job(bench, step(bench, 1, seed="6f" * 32))


def more_looks(bench: Bench) -> dict[str, Any]:
    return job(bench, step(bench, 1, looks=(20, 30)))


def other_items(bench: Bench) -> dict[str, Any]:
    first = step(bench, 1)
    return job(bench, first, items=frozenset(range(N)) - first.chosen())


def all_items(bench: Bench) -> dict[str, Any]:
    return job(bench, step(bench, 1), items=frozenset(range(N)))


def another_number_of_right_answers(bench: Bench) -> dict[str, Any]:
    return job(bench, step(bench, 1, right=2))


def another_easiness(bench: Bench) -> dict[str, Any]:
    first = step(bench, 1)
    easier = msgspec.structs.replace(first.easiness, private=pack_bytes(bytes(N)))
    return job(bench, msgspec.structs.replace(first, easiness=easier))


def no_plan(bench: Bench) -> dict[str, Any]:
    made = job(bench, step(bench, 1), items=frozenset(range(N)))
    del made["adaptive"]
    return made


CHANGED = (
    another_seed,
    more_looks,
    other_items,
    all_items,
    another_number_of_right_answers,
    another_easiness,
    no_plan,
)


@pytest.mark.parametrize("change", CHANGED, ids=lambda change: change.__name__)
def test_a_site_that_changes_the_plan_is_refused_and_shown_nothing(
    bench: Bench, change: Any
) -> None:
    run_job(job(bench, step(bench, 0)), bench.context)
    run_job(change(bench), bench.context)
    reports = bench.finish()
    of_second = [report for report in reports if report.token == 2]
    assert last_code(of_second) is Code.PLAN_DIFFERS
    assert exposures(reports) == []


def test_the_first_plan_stays_after_a_restart(bench: Bench) -> None:
    run_job(job(bench, step(bench, 0)), bench.context)
    bench.finish()
    bench.context = bench.open()
    run_job(another_seed(bench), bench.context)
    assert exposures(bench.finish()) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda made: made | {"system": CHECKPOINT},
        lambda made: made | {"adaptive": made["adaptive"] | {"look": 3}},
        lambda made: made | {"adaptive": made["adaptive"] | {"text": "Which boat?"}},
    ],
    ids=["weights", "a look too many", "a text"],
)
def test_a_plan_that_fits_no_job_is_refused(bench: Bench, change: Any) -> None:
    reports = bench.run(change(job(bench, step(bench, 1))))
    assert last_code(reports) in (Code.BAD_MESSAGE, Code.PLAN_DIFFERS)
    assert exposures(reports) == []


def test_sealed_items_wait_for_the_public_answers(bench: Bench) -> None:
    early = job(bench, step(bench, 1))
    early["sets"][0]["done"] = ""
    assert last_code(bench.run(early)) is Code.PLAN_DIFFERS
