"""All graders over the same answers: over the whole run also where an attempt was killed, and never over half of it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from evaluator import protocols
from evaluator.backends import Completion, Sampling
from evaluator.contract import Finished, GraderCounts, Outcome
from evaluator.grading import alternatives, controls
from tests.evaluator.pipeline import test_sink
from tests.evaluator.pipeline.attempts import CHECKPOINT, Acting, Bench

SETS = ("open", "closed")


def mixed(prompt: str) -> str:
    """Right to ``numeric``; to ``strict`` every second time only, and to ``flexible`` too."""
    number = int(prompt.rsplit("number ", maxsplit=1)[-1].split("?", maxsplit=1)[0])
    return f" It is {number}.00 of them." if number % 2 else f"\n#### {number}"


def grader_counts(reports: list[Any]) -> dict[tuple[str, str], tuple[int, int, int]]:
    """By grader and set: how many answers it is over, how many are right, how many are no answer."""
    assert isinstance(reports[-1].body, Finished)
    found: dict[tuple[str, str], GraderCounts] = {
        (one.grader, one.set): one for one in reports[-1].body.graders
    }
    return {place: (one.n, one.right, one.no_answer) for place, one in found.items()}


HALF = {
    **{(grader, name): (30, 30, 0) for grader in ("numeric-1", "numeric-2") for name in SETS},
    **{("lm-eval-strict-3", name): (30, 15, 15) for name in SETS},
    **{("lm-eval-flexible-3", name): (30, 15, 0) for name in SETS},
}


def test_every_grader_on_both_sets(bench: Bench) -> None:
    bench.model = Acting(mixed)
    assert grader_counts(bench.run(bench.place.job(CHECKPOINT))) == HALF


@pytest.fixture
def interrupted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Any]]:
    """An attempt that was killed, and what the next one reports."""

    def run() -> list[Any]:
        monkeypatch.setattr(test_sink, "right", mixed)
        job = bench.place.job(CHECKPOINT)
        test_sink.killed(bench, job)
        return test_sink.again(bench, job)[1]

    return run


def test_after_a_kill_the_counts_are_over_the_whole_run(
    interrupted: Callable[[], list[Any]],
) -> None:
    assert grader_counts(interrupted()) == HALF


def test_what_another_evaluator_asked_is_not_counted(bench: Bench) -> None:
    bench.model = Acting(mixed)
    reports = bench.run(bench.place.job(CHECKPOINT, done={"open": [0, 1, 2], "closed": []}))
    assert {place: n for place, (n, _, _) in grader_counts(reports).items()} == {
        (grader, name): 27 if name == "open" else 30
        for grader in alternatives("numeric-2")
        for name in SETS
    }


def test_a_grader_that_fails_its_control_items_has_no_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = (controls.Control("#### 18", "18", Outcome.WRONG),)
    monkeypatch.setitem(controls._CONTROLS, "lm-eval-flexible-3", wrong)
    bench.model = Acting(mixed)
    assert {grader for grader, _ in grader_counts(bench.run(bench.place.job(CHECKPOINT)))} == {
        *("numeric-1", "numeric-2", "lm-eval-strict-3")
    }


class Drawing:
    """Says ``#### N`` twice and then ``The answer is N.`` once."""

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        count = self.asked[prompt] = self.asked.get(prompt, 0) + 1
        number = prompt.rsplit("number ", maxsplit=1)[-1].split("?", maxsplit=1)[0]
        return Completion(
            f" The answer is {number}." if count == 3 else f"\n#### {number}", cut=False
        )


def test_of_several_samples_each_grader_takes_its_own_vote(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = replace(
        protocols.get("demo-0shot"), id="demo-sc3", temperature=0.7, samples=3, vote="majority"
    )
    monkeypatch.setitem(protocols._BY_ID, several.id, several)
    bench.model = Drawing()
    found = grader_counts(bench.run(bench.place.job(CHECKPOINT, protocol=several.id)))
    assert found == {
        (grader, name): (30, 30, 0) for grader in alternatives("numeric-2") for name in SETS
    }
