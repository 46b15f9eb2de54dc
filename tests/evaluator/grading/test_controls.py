"""Control items: every published grader passes its own, and whatever grades otherwise is found out."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from evaluator import grading
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import Grade, controls, numeric, text

Grader = Callable[..., Grade]


def failed(grade: Grader, grader: str) -> str:
    """Where the first control item failed."""
    with pytest.raises(EvaluatorError) as caught:
        controls.check(grade, grader)
    assert caught.value.code is Code.CONTROL_FAILED
    return caught.value.detail


@pytest.mark.parametrize("grader", grading.alternatives(grading.HEADLINE))
def test_published_graders_pass(grader: str) -> None:
    controls.check(grading.grade, grader)


@pytest.mark.parametrize("grader", grading.alternatives(grading.HEADLINE))
def test_each_outcome_that_a_grader_can_give_has_a_control(grader: str) -> None:
    outcomes = {control.outcome for control in controls.controls(grader)}
    assert outcomes == set(Outcome) - {Outcome.NOT_COUNTED}


@pytest.mark.parametrize("grader", grading.alternatives(grading.HEADLINE))
@pytest.mark.parametrize("outcome", Outcome)
def test_a_grader_that_always_says_the_same_fails(grader: str, outcome: Outcome) -> None:
    assert failed(lambda *_, **__: Grade(outcome, ""), grader).startswith(grader)


@pytest.mark.parametrize("grader", grading.alternatives(grading.HEADLINE))
def test_one_grader_in_the_place_of_another_fails(grader: str) -> None:
    for other in set(grading.alternatives(grading.HEADLINE)) - {grader}:
        failed(lambda _, *about, other=other, **more: grading.grade(other, *about, **more), grader)


@pytest.mark.parametrize("grader", grading.alternatives(grading.HEADLINE))
def test_a_grader_that_raises_fails(grader: str) -> None:
    def broken(*_: object, **__: object) -> Grade:
        raise ZeroDivisionError

    assert failed(broken, grader) == f"{grader}, control 0"


def test_a_grader_without_controls_fails() -> None:
    assert failed(grading.grade, "numeric-99") == "numeric-99"


def forgiving(response: str, gold: Fraction, *, cut: bool) -> Grade:
    """Takes the sign for a matter of taste."""
    first, second = numeric.grade(response, gold, cut=cut), numeric.grade(response, -gold, cut=cut)
    return second if second.outcome is Outcome.RIGHT else first


MUTANTS: dict[str, tuple[object, str, object]] = {
    "the sign is forgiven": (grading.numeric, "grade", forgiving),
    "commas are points": (text, "_TABLE", {ord(","): "."}),
    "the first mark decides": (grading.numeric, "_marked", lambda marks, seen: numeric._at(next(iter(marks)), seen, len(seen)) if marks else None),
    "a cut text falls back": (grading.numeric, "grade", lambda r, g, cut, real=numeric.grade: real(r, g, cut=False)),
    "lists are answers": (grading.numeric, "_unless_listed", lambda first, part: first),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_numeric_1_fail(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, what, instead = MUTANTS[name]
    monkeypatch.setattr(where, what, instead)
    failed(grading.grade, "numeric-1")
