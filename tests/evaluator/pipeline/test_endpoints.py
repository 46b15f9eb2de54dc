"""Whole attempts at endpoints that are odd in one way: outcomes, counted reasons, the code of the end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluator.backends import servers
from evaluator.contract import MIN_CELL_SIZE, Finished, Outcome, Progress, Reasons, pack_bits
from evaluator.errors import Code
from evaluator.pipeline import parts
from tests.evaluator.installed import CANARY, install, outcomes
from tests.evaluator.pipeline.attempts import ENDPOINT, Bench, last_code

N = 24
RUN = "00000000-0000-4000-8000-000000000001"
Made = Callable[..., tuple[Bench, Any, dict[str, Any]]]


@pytest.fixture
def begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_odd: Callable[..., Any]) -> Made:
    """An installed evaluator, an odd endpoint and a job for it, through the real gateway."""

    def made(
        odd: str, when: str = "always", *, n: int = N, **job: Any
    ) -> tuple[Bench, Any, dict[str, Any]]:
        stub = start_odd(odd, when)
        bench = Bench(install(tmp_path, n=n).allowing(stub.url), monkeypatch)
        bench.context = replace(
            bench.context, patience={"backoff_seconds": 0.01, "start_seconds": 0.0}
        )
        monkeypatch.setattr(parts, "serve_endpoint", servers.serve_endpoint)
        return bench, stub, bench.place.job(ENDPOINT | {"url": stub.url}, **job)

    return made


def of(reports: list[Any], outcome: Outcome) -> int:
    return sum(one is outcome for one in outcomes(reports).values())


@pytest.mark.parametrize(
    ("odd", "reason"), [("forbidden403", "refused"), ("html200", "bad_response")]
)
def test_a_refused_item_is_no_answer_and_its_reason_is_counted(
    begin: Made, odd: str, reason: str
) -> None:
    """One item of each set; the sealed set is too small for its reasons to be published."""
    bench, _, job = begin(odd, "item:20")
    reports = bench.run(job)
    assert isinstance(reports[-1].body, Finished), reports[-1].body
    assert (of(reports, Outcome.RIGHT), of(reports, Outcome.NO_ANSWER)) == (2 * N - 2, 2)
    assert list(reports[-1].body.reasons) == [Reasons(name="open", n=N, counts=((reason, 1),))]
    assert CANARY not in str(reports) and "SECRET" not in str(reports)


@pytest.mark.slow
def test_reasons_of_a_sealed_set_are_counted_over_a_whole_cell(begin: Made) -> None:
    bench, _, job = begin("filter400", "item:20", n=MIN_CELL_SIZE)
    reports = bench.run(job)
    assert {reasons.name: reasons.counts for reasons in reports[-1].body.reasons} == {
        "open": (("filtered", 1),),
        "closed": (("filtered", 1),),
    }


def test_an_answer_in_the_wrong_field_ends_the_run_and_closes_nothing(begin: Made) -> None:
    bench, stub, job = begin("reasoning_only")
    reports = bench.run(job)
    assert last_code(reports) is Code.ENDPOINT_REASONING_ONLY
    assert outcomes(reports) == {}
    assert len(stub.requests()) <= 8


def test_an_attempt_that_follows_asks_the_refused_item_alone(begin: Made) -> None:
    """Before, a run with one item that is always refused could never end."""
    done = {"open": [i for i in range(N) if i != 20], "closed": list(range(N))}
    bench, stub, job = begin("forbidden403", "item:20", done=done)
    job = bench.place.job(ENDPOINT | {"url": stub.url}, done=done | {"open": without(bench, 20)})
    reports = bench.run(job)
    assert isinstance(reports[-1].body, Finished), reports[-1].body
    assert list(outcomes(reports).values()) == [Outcome.NO_ANSWER]


def without(bench: Bench, number: int) -> list[int]:
    return [index for index in range(N) if index != bench.place.index("open", number)]


def test_a_part_of_the_public_set_is_asked_alone(begin: Made) -> None:
    """As the watch list asks its control items: nothing sealed, and no other public item."""
    bench, _, job = begin("forbidden403", "item:20", tier="T3")
    ask = job["sets"][0] | {"without": pack_bits(range(4, N), N)}
    reports = bench.run(job | {"sets": [ask]})
    assert isinstance(reports[-1].body, Finished), reports[-1].body
    assert set(outcomes(reports)) == {("open", index) for index in range(4)}
    assert [(one.name, one.n) for one in reports[-1].body.sets] == [("open", 4)]
    assert CANARY not in str(reports)


def test_a_part_of_the_public_set_has_no_answer_outside_itself(begin: Made) -> None:
    bench, _, job = begin("forbidden403", "item:20", tier="T3")
    odd = job["sets"][0] | {"without": pack_bits(range(4, N), N), "done": pack_bits([5], N)}
    assert last_code(bench.run(job | {"run": RUN, "sets": [odd]})) is Code.BAD_MESSAGE


def test_a_silent_endpoint_is_reported_as_waited_for(
    begin: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats go on meanwhile; after its patience the run fails with the truth, and its answers stay."""
    bench, _, job = begin(
        "error500", "always", lease_seconds=1.5, done={"open": list(range(N - 1))}
    )
    patience = {
        "backoff_seconds": 0.1,
        "longest_wait_seconds": 0.3,
        "outage_seconds": 5.0,
        "attempts": 2,
    }
    bench.context = replace(bench.context, patience=patience)
    reports = bench.run(job)
    assert last_code(reports) is Code.ENDPOINT_ERROR
    assert "waiting" in [
        report.body.phase for report in reports if isinstance(report.body, Progress)
    ]
