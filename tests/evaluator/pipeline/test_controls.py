"""A run whose grader is broken fails with ``control_failed``: before anything is revealed, or at its end."""

from collections.abc import Callable

import pytest

from evaluator import grading
from evaluator.contract import Exposed, Graded, Outcome
from evaluator.errors import Code
from evaluator.grading import Grade
from evaluator.pipeline import graders
from tests.evaluator.pipeline.attempts import CHECKPOINT, Bench, last_code


def kind(grader: str, response: str, gold: str, *, cut: bool = False) -> Grade:
    """Everything is right."""
    return Grade(Outcome.RIGHT, gold)


def breaking(after: int) -> Callable[..., Grade]:
    """As published, until it has graded so many completions."""
    calls = 0

    def grade(grader: str, response: str, gold: str, *, cut: bool = False) -> Grade:
        nonlocal calls
        calls += 1
        return (kind if calls > after else grading.grade)(grader, response, gold, cut=cut)

    return grade


def test_a_broken_grader_fails_the_run_before_it_has_seen_anything(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graders, "grade", kind)
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert last_code(reports) is Code.CONTROL_FAILED
    assert not [report for report in reports if isinstance(report.body, Exposed | Graded)]


def test_a_grader_that_breaks_meanwhile_fails_the_run_at_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graders, "grade", breaking(after=50))
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert last_code(reports) is Code.CONTROL_FAILED
    assert [report for report in reports if isinstance(report.body, Graded)]


def test_the_same_run_with_the_published_grader_does_not_fail(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graders, "grade", breaking(after=10_000))
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert reports[-1].body.__class__.__name__ == "Finished"
