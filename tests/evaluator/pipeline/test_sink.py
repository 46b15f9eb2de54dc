"""Answers that were stored before a kill: reported by the next attempt, never asked for again."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Finished, Outcome
from evaluator.pipeline import leases, parts
from evaluator.pipeline.plan import Policy
from evaluator.pipeline.sink import ResultSink
from tests.evaluator.installed import install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, FACTS, URL, Acting, Bench, right

BEFORE = 40
IN_FLIGHT = 8


def killed(bench: Bench, job: dict[str, Any]) -> None:
    """The attempt in a process of its own, which dies in the middle of a question and hands nothing on before."""
    child = os.fork()
    if child == 0:
        asked: list[str] = []

        def act(prompt: str) -> str:
            asked.append(prompt)
            if len(asked) > BEFORE:
                os._exit(9)
            return right(prompt)

        bench.model = Acting(act, latency=0.001)
        bench.run_with(replace(bench.context, policy=Policy(flush_seconds=600, group=600)), job)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def again(bench: Bench, job: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """What the next attempt asks, and all that was reported."""
    asked: list[str] = []

    def act(prompt: str) -> str:
        asked.append(prompt)
        return right(prompt)

    bench.model = Acting(act)
    bench.context = bench.open()
    return asked, bench.run({**job, "token": 2})


def test_a_kill_costs_at_most_what_was_in_flight(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    killed(bench, job)
    asked, reports = again(bench, job)
    assert 60 - BEFORE <= len(asked) <= 60 - BEFORE + IN_FLIGHT
    assert len(set(asked)) == len(asked)
    assert outcomes(reports) == {
        (name, i): Outcome.RIGHT for name in ("open", "closed") for i in range(30)
    }
    assert isinstance(reports[-1].body, Finished)
    assert [(one.name, one.n, one.right) for one in reports[-1].body.sets] == [
        ("open", 30, 30),
        ("closed", 30, 30),
    ]


def test_the_same_fails_where_answers_are_not_stored_as_they_arrive(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultSink, "answered", lambda *_: None)
    job = bench.place.job(CHECKPOINT)
    killed(bench, job)
    asked, _ = again(bench, job)
    assert len(asked) == 60


def test_answers_of_another_system_or_weights_are_not_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.place.job(CHECKPOINT)
    killed(bench, job)
    other = replace(FACTS, digest="ef" * 32)
    monkeypatch.setattr(parts, "inspect_checkpoint", lambda folder, *, verifier: other)
    asked, _ = again(bench, job)
    assert len(asked) == 60


def test_answers_of_an_attempt_that_lost_its_lease_are_not_taken(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = bench.place.job(CHECKPOINT)
    with monkeypatch.context() as patched:
        patched.setattr(leases._Granted, "is_valid", lambda _: False)
        patched.setattr(leases._Granted, "check", lambda _: None)
        killed(bench, job)
    asked, _ = again(bench, job)
    assert len(asked) == 60


def test_an_endpoint_is_asked_with_the_jobs_concurrency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    bench.run(bench.place.job(ENDPOINT))
    assert [about["concurrency"] for about in bench.served] == [8]
