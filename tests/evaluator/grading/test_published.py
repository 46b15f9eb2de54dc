"""Published graders never change; each has a short name, and the ceiling of a gold answer holds for all."""

import pytest

from evaluator import grading
from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError

PINNED = {
    "numeric-1": "4b135ad7a2bafdbd5018dbd35979287aed08e40d04c02b6cf64b7086f9603b39",
    "numeric-2": "b17dd34300d074bbef1f7342596849baf1391e571095f0ed8d528cde99c25001",
    "lm-eval-strict-3": "f0032d1421c3f5a3434bd11f1109af0a8c998e532e6e5ba6804042ac38e75933",
    "lm-eval-flexible-3": "f0032d1421c3f5a3434bd11f1109af0a8c998e532e6e5ba6804042ac38e75933",
    "choice-1": "4d283416051faeac7d1c6f6be996decd946cd7b9c249291018a44fcd5f7f70b8",
    "expression-1": "6df3f270b84681bb0a54ed79ee2f993966d0cb42ca0ae67cd4e1611e409b61b5",
    "tests-1": "2a23f6f7e1fed66aff3610ddc668d51ea81125a27ab5495c7c0e60d07c6c1a9d",
    "program-1": "2a23f6f7e1fed66aff3610ddc668d51ea81125a27ab5495c7c0e60d07c6c1a9d",
}
READING = [grader for grader in PINNED if grading.kinds(grader) == ("number",)]
EXECUTING = [grader for grader in PINNED if grading.executes(grader)]


def test_published_graders_never_change() -> None:
    """A failure here is a new id to be made, not a digest to be written anew."""
    assert {grader: grading.digest(grader) for grader in grading.ids()} == PINNED


@pytest.mark.parametrize(
    ("name", "grader"),
    [("numeric", "numeric-2"), ("strict", "lm-eval-strict-3"), ("flexible", "lm-eval-flexible-3"), *zip(PINNED, PINNED, strict=True)],
)  # fmt: skip
def test_short_names(name: str, grader: str) -> None:
    assert grading.resolve(name) == grader


@pytest.mark.parametrize("name", ["", "lm-eval-strict-2", "Strict", "all"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        grading.resolve(name)
    assert caught.value.code is Code.UNKNOWN_GRADER


@pytest.mark.parametrize("grader", READING)
@pytest.mark.parametrize(
    "gold", ["", "eighteen", "3:30", "18 or 19", "1,23", "9" * 5000], ids=range(6)
)
def test_gold_that_is_no_number_is_an_error_for_each(grader: str, gold: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        grading.grade(grader, gold, gold)
    assert caught.value.code is Code.SET_GOLD_NOT_NUMERIC


def test_a_grader_that_executes_programs_reads_no_text() -> None:
    for grader in EXECUTING:
        with pytest.raises(EvaluatorError) as caught:
            grading.grade(grader, "#### 18", "18")
        assert caught.value.code is Code.GRADER_UNFIT
        assert grading.alternatives(grader) == (grader,)
    assert set(grading.alternatives("numeric-1")) == set(READING)
    assert grading.alternatives("choice-1") == ("choice-1",)


def test_a_gold_of_another_kind_is_an_error() -> None:
    for grader, gold in (("choice-1", "7"), ("expression-1", " ")):
        with pytest.raises(EvaluatorError) as caught:
            grading.grade(grader, "7", gold)
        assert caught.value.code is Code.SET_GOLD_UNREADABLE


@pytest.mark.parametrize(
    ("response", "strict", "flexible"),
    [
        ("#### 18", "18", "18"), ("#### 18.", "18.", "18."), ("####18", "", "18"), ("The answer is $18.", "", "$18."),
        ("#### 17\n#### 18", "17", "18"), ("#### 1,8 or 7", "1,8", "7"), ("It is eighteen", "", ""), ("It is ${80}$.", "", "$."),
    ],
)  # fmt: skip
def test_what_the_harness_reads(response: str, strict: str, flexible: str) -> None:
    for grader, extracted in (("lm-eval-strict-3", strict), ("lm-eval-flexible-3", flexible)):
        grade = grading.grade(grader, response, "18")
        assert grade.extracted == extracted
        assert (grade.outcome is Outcome.NO_ANSWER) is (extracted == "")


@pytest.mark.parametrize("grader", ["lm-eval-strict-3", "lm-eval-flexible-3"])
def test_a_cut_text_without_a_match_is_truncated_and_with_one_it_is_graded(grader: str) -> None:
    assert grading.grade(grader, "", "18", cut=True).outcome is Outcome.TRUNCATED
    assert grading.grade(grader, "#### 18", "18", cut=True).outcome is Outcome.RIGHT
    assert grading.grade(grader, "#### 1", "18", cut=True).outcome is Outcome.WRONG
