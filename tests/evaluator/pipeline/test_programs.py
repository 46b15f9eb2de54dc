"""Runs whose completions are programs: graded in a sandbox of the run's own, while others are asked."""

import asyncio
import logging
import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluator import protocols
from evaluator.backends import Completion, Sampling
from evaluator.contract import Declined, Finished, NotRescored, Outcome, Rescored
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import controls
from evaluator.grading.controls import ProgramControl
from evaluator.pipeline.plan import Policy
from evaluator.pipeline.rescore import handle_order, rescore
from evaluator.sandbox import cells, workers
from tests.evaluator.installed import CANARY, install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench, exposures, last_code

N = 12
TEST_CANARY = "amber_walrus"
"""Stands in every hidden test."""


def code_rows(n: int, word: str) -> list[dict[str, str]]:
    """Items in HumanEval's form: a function that adds its number."""
    name = word.replace("-", "_")
    return [
        {
            "kind": "tests",
            "question": f'def {name}_{i}(x):\n    """Add {i}."""\n',
            "answer": f"    return x + {i}\n",
            "entry": f"{name}_{i}",
            "tests": f"{TEST_CANARY} = {i}\nassert {name}_{i}(1) == 1 + {TEST_CANARY}\n",
        }
        for i in range(n)
    ]


def number_of(prompt: str) -> int:
    return int(re.findall(r"Add (\d+)", prompt)[-1])


HOSTILE = "    import os\n    os._exit(0)\n"
EQUAL = "    class E:\n        def __eq__(self, other): return True\n    return E()\n"
ANSWERS = ("    return x + {}\n", "    return x\n", HOSTILE, "", EQUAL, "    return x +\n")
OUTCOMES = (
    Outcome.RIGHT, Outcome.WRONG, Outcome.WRONG, Outcome.NO_ANSWER, Outcome.WRONG, Outcome.WRONG,
)  # fmt: skip
ANSWERS_OF_ZERO = "    return x + 0\n"


def answer(prompt: str) -> str:
    """Of each six items the first is right, and the others are wrong in some way."""
    number = number_of(prompt)
    return ANSWERS[number % len(ANSWERS)].format(number)


def number(row: dict[str, str]) -> int:
    return number_of(row["question"])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(install(tmp_path, n=N, make=code_rows), monkeypatch)
    bench.model = Acting(answer)
    return bench


def job(bench: Bench, **other: Any) -> dict[str, Any]:
    return bench.place.job(CHECKPOINT, protocol="humaneval-0shot", **other)


def expected(bench: Bench) -> dict[tuple[str, int], Outcome]:
    """By the number of each row, wherever it lies; adding 0 is what returning x does."""
    return {
        (name, index): Outcome.RIGHT if number(row) == 0 else OUTCOMES[number(row) % 6]
        for name, facts in bench.place.sets.items()
        for index, row in enumerate(facts["rows"])
    }


def test_each_program_has_the_outcome_that_its_tests_give_it(bench: Bench) -> None:
    reports = bench.run(job(bench))
    assert outcomes(reports) == expected(bench)
    assert isinstance(reports[-1].body, Finished)
    [counts, _] = reports[-1].body.graders
    assert (counts.grader, counts.right, counts.wrong, counts.no_answer) == ("tests-1", 2, 8, 2)
    assert reports[-1].body.record.grader == "tests-1"


def test_a_cut_program_that_fails_is_truncated_and_one_that_passes_is_right(bench: Bench) -> None:
    class Cut:
        async def complete(self, prompt: str, sampling: Sampling) -> Completion:
            return Completion(answer(prompt), cut=True)

    bench.model = Cut()
    found = Counter(outcomes(bench.run(job(bench))).values())
    assert found == {Outcome.RIGHT: 4, Outcome.TRUNCATED: 2 * N - 4}


def test_without_a_sandbox_the_attempt_is_declined_before_anything_is_revealed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "missing", lambda: ["bubblewrap does not work here"])
    reports = bench.run(job(bench))
    assert isinstance(reports[-1].body, Declined)
    assert last_code(reports) is Code.SANDBOX_MISSING
    assert exposures(reports) == [] and bench.served == []


def test_without_a_sandbox_numbers_are_asked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "missing", lambda: ["bubblewrap does not work here"])
    bench = Bench(install(tmp_path, n=3), monkeypatch)
    assert isinstance(bench.run(bench.place.job(CHECKPOINT))[-1].body, Finished)


def test_a_broken_grader_fails_the_run_before_it_has_seen_anything(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = controls.program_controls("tests-1")[0]
    wrong = (ProgramControl(first.written, first.item, Outcome.WRONG),)
    monkeypatch.setitem(controls._PROGRAM_CONTROLS, "tests-1", wrong)
    reports = bench.run(job(bench))
    assert last_code(reports) is Code.CONTROL_FAILED
    assert exposures(reports) == []


def test_items_of_another_kind_end_the_run_before_one_is_revealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(install(tmp_path, n=3), monkeypatch)
    reports = bench.run(job(bench))
    assert last_code(reports) is Code.GRADER_UNFIT
    assert exposures(reports) == [] and bench.served == []


def test_numbers_are_not_read_of_items_with_unit_tests(bench: Bench) -> None:
    assert last_code(bench.run(job(bench) | {"protocol": "demo-0shot"})) is Code.GRADER_UNFIT


def test_other_items_are_asked_while_a_program_runs(bench: Bench) -> None:
    """A program that waits does not end before all other items were asked: else it is too late."""
    asked: list[int] = []
    done: list[bool] = []

    class Waiting:
        async def complete(self, prompt: str, sampling: Sampling) -> Completion:
            asked.append(number_of(prompt))
            slow = number_of(prompt) == 0 and CANARY.replace("-", "_") in prompt
            text = "    import time\n    time.sleep(4)\n    return x\n" if slow else answer(prompt)
            return Completion(text, cut=False)

    bench.model = Waiting()
    completions = bench.context.completions
    append = completions.append

    def watched(run: str, name: str, index: int, outcome: Outcome, text: str, **more: Any) -> None:
        if "sleep" in text:
            done.append(len(asked) == 2 * N)
        append(run, name, index, outcome, text, **more)

    completions.append = watched  # type: ignore[method-assign]
    assert outcomes(bench.run(job(bench))) == expected(bench)
    assert done == [True]


def test_two_runs_share_no_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    begin = cells.Cell.__init__

    def remember(self: cells.Cell, *about: Any) -> None:
        begin(self, *about)
        started.append(self._process.pid)

    monkeypatch.setattr(cells.Cell, "__init__", remember)
    bench.run(job(bench))
    first = set(started)
    started.clear()
    bench.context = bench.open()
    bench.run(job(bench))
    assert first and started and not first & set(started)
    for pid in first | set(started):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_no_log_line_has_an_item_a_test_or_a_program(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = workers.Worker.execute

    def broken(self: workers.Worker, job: Any) -> Any:
        if "Add " in job.source:
            raise RuntimeError(f"{job.tests} {job.source}")
        return execute(self, job)

    with caplog.at_level(logging.DEBUG):
        bench.run(job(bench))
        monkeypatch.setattr(workers.Worker, "execute", broken)
        bench.envelopes.clear()
        bench.context = bench.open()
        reports = bench.run(job(bench))
    assert last_code(reports) is Code.INTERNAL
    for secret in (TEST_CANARY, CANARY.replace("-", "_"), "return x"):
        assert secret not in caplog.text
        assert secret not in str(bench.envelopes)


# --- killed and resumed


class Dying:
    """Answers, and ends its process at one of the questions."""

    def __init__(self, after: int) -> None:
        self.after, self.asked = after, 0

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        self.asked += 1
        if self.asked > self.after:
            await asyncio.sleep(0.5)
            os._exit(9)
        return Completion(answer(prompt), cut=False)


@pytest.mark.parametrize("protocol", ["humaneval-0shot", "humaneval-0shot-k10"])
def test_an_attempt_after_a_kill_comes_to_the_same(
    bench: Bench, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = job(bench) | {"protocol": protocol}
    samples = protocols.get(protocol).samples
    after = 10 * samples
    child = os.fork()
    if child == 0:
        bench.model = Dying(after)
        bench.run_with(replace(bench.context, policy=Policy(flush_seconds=600, group=600)), spec)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    executed: list[str] = []
    execute = workers.Worker.execute

    def counted(self: workers.Worker, job: Any) -> Any:
        executed.append(job.source)
        return execute(self, job)

    monkeypatch.setattr(workers.Worker, "execute", counted)
    asked: list[str] = []
    bench.model = Acting(lambda prompt: asked.append(prompt) or answer(prompt))  # type: ignore[func-returns-value]
    bench.context = bench.open()
    reports = bench.run({**spec, "token": 2})
    assert outcomes(reports) == expected(bench)
    whole = 2 * N * samples
    assert whole - after <= len(asked) <= whole - after + 8
    ours = [source for source in executed if "Add " in source]
    assert len(ours) <= len(asked), "what was graded before the kill is not executed again"


# --- graded again


def test_programs_are_graded_again_by_executing_them(bench: Bench) -> None:
    spec = job(bench)
    bench.run(spec)
    context = bench.context
    again = rescore(
        context.vault,  # type: ignore[arg-type]
        context.completions,
        context.entries(),
        set_name="closed",
        run=spec["run"],
        grader="tests-1",
        protocol=protocols.get("humaneval-0shot"),
    )
    assert again.before == again.after and len(again.after) == N
    assert {again.after[index] for index in again.after} == set(OUTCOMES)


@pytest.mark.parametrize(
    ("grader", "protocol", "code"),
    [
        ("numeric-2", "humaneval-0shot", Code.GRADER_UNFIT),
        ("program-1", "humaneval-0shot", Code.GRADER_UNFIT),
        ("tests-1", "demo-0shot", Code.GRADER_UNFIT),
        ("tests-1", None, Code.GRADER_UNFIT),
    ],
    ids=str,
)
def test_a_grader_that_reads_something_else_opens_nothing(
    bench: Bench, grader: str, protocol: str | None, code: Code
) -> None:
    spec = job(bench)
    bench.run(spec)
    before = len(bench.context.entries())
    with pytest.raises(EvaluatorError) as caught:
        rescore(
            bench.context.vault,  # type: ignore[arg-type]
            bench.context.completions,
            bench.context.entries(),
            set_name="closed",
            run=spec["run"],
            grader=grader,
            protocol=protocols.get(protocol) if protocol else None,
        )
    assert caught.value.code is code
    assert len(bench.context.entries()) == before


def test_an_order_of_the_site_is_carried_out_or_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = job(bench)
    bench.run(spec)
    asked = [{key: one[key] for key in ("name", "sealed", "digest", "n")} for one in spec["sets"]]
    order = {
        "order": 1, "run": spec["run"], "token": 1, "exposure_token": 2, "grader": "tests-1",
        "protocol": "humaneval-0shot", "sets": asked,
    }  # fmt: skip

    def result(**changes: Any) -> Any:
        bench.envelopes.clear()
        bench.context = bench.open()
        handle_order(order | changes, bench.context)
        return bench.finish()[-1].body

    body = result()
    assert isinstance(body, Rescored)
    assert all(before == after for one in body.sets for _, before, after in one.outcomes)
    body = result(order=2, grader="numeric-2")
    assert isinstance(body, NotRescored) and body.code is Code.GRADER_UNFIT
    monkeypatch.setattr(cells, "missing", lambda: ["no bubblewrap"])
    body = result(order=3)
    assert isinstance(body, NotRescored) and body.code is Code.SANDBOX_MISSING
