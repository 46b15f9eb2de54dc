"""The graders of ours on real outputs: the collected hard cases, and seven systems' recorded answers to GSM8K.

The recorded labels come from their projects' own graders. Every place where ours differs was read with its
question and its gold answer; ``bench/adjudicated.csv`` says what was found. The labels of the rho systems forgive a
factor of one hundred (0.02 for 2) and reject a unit or an equation in the answer ("80 + 150 = 230 miles").
"""

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from bench.grading import Disagreement, adjudicated, answers, disagreements
from evaluator import grading
from evaluator.contract import Outcome

pytestmark = pytest.mark.data

FIRST = {
    "openai-6b_finetuning": (286, 1033, 0),
    "openai-6b_verification": (515, 804, 0),
    "openai-175b_finetuning": (458, 861, 0),
    "openai-175b_verification": (742, 577, 0),
    "rho-math-1b-v0.1": (477, 842, 0),
    "rho-math-7b-v0.1": (886, 433, 0),
    "rho-math-1b-interpreter-v0.1": (768, 549, 2),
}
"""Right, wrong, no answer by numeric-1, which does not change."""
COUNTS = {
    "openai-6b_finetuning": (286, 1033, 0, 0),
    "openai-6b_verification": (515, 804, 0, 0),
    "openai-175b_finetuning": (458, 861, 0, 0),
    "openai-175b_verification": (742, 577, 0, 0),
    "rho-math-1b-v0.1": (477, 842, 0, 6),
    "rho-math-7b-v0.1": (887, 432, 0, 12),
    "rho-math-1b-interpreter-v0.1": (768, 549, 2, 2),
}
"""Right, wrong, no answer by numeric-2, and how often the label says otherwise."""


@pytest.mark.parametrize("system", COUNTS)
def test_recorded_answers(data_dir: Path, system: str) -> None:
    recorded = answers(data_dir / "outputs")[system]
    assert [answer.item for answer in recorded] == list(range(1319))
    outcomes, before = (
        Counter(grading.grade(grader, a.response, a.gold).outcome for a in recorded)
        for grader in (grading.HEADLINE, "numeric-1")
    )
    assert (before[Outcome.RIGHT], before[Outcome.WRONG], before[Outcome.NO_ANSWER]) == FIRST[
        system
    ]
    found = disagreements(recorded)
    counted = (
        outcomes[Outcome.RIGHT],
        outcomes[Outcome.WRONG],
        outcomes[Outcome.NO_ANSWER],
        len(found),
    )
    assert counted == COUNTS[system]
    assert {one.verdict for one in found} <= {"theirs", "ambiguous"}
    for one in found:
        check_reading(one)


def check_reading(one: Disagreement) -> None:
    """What can be checked of a reading: a form that the label rejects, or a factor of one hundred that it forgives."""
    ours, gold = Fraction(one.extracted), Fraction(one.gold)
    if one.label:
        assert one.verdict == "ambiguous" or "factor of one hundred" in one.reason
        assert ours / gold in (Fraction(100), Fraction(1, 100))
    else:
        assert one.verdict == "theirs"
        assert "the label rejects" in one.reason
        assert ours == gold


def test_the_readings_hold_no_text_of_an_answer_and_none_is_stale(data_dir: Path) -> None:
    recorded = answers(data_dir / "outputs")
    keys = {answer.key for given in recorded.values() for answer in given}
    here = {key for key in adjudicated() if key[0] in COUNTS}
    assert len(here) == sum(count[3] for count in COUNTS.values())
    assert here <= keys
    texts = [
        answer.response for given in recorded.values() for answer in given if (answer.key) in here
    ]
    reasons = {reason for _, reason in adjudicated().values()}
    assert len(texts) == len(here)
    for text in texts:
        for reason in reasons:
            words = reason.split()
            assert not any(" ".join(words[i : i + 5]) in text for i in range(len(words) - 4))


@pytest.mark.parametrize("grader", ["numeric-1", "numeric-2"])
def test_hard_cases_are_graded_as_a_human_would(data_dir: Path, grader: str) -> None:
    cases = [
        json.loads(line)
        for line in (data_dir / "grading" / "cases.jsonl").read_bytes().splitlines()
    ]
    clear = [case for case in cases if not case["ambiguous"]]
    assert (len(cases), len(clear)) == (68, 56)
    wrong = [
        case["id"]
        for case in clear
        if (grading.grade(grader, case["response"], case["gold"]).outcome is Outcome.RIGHT)
        != case["should_be_correct"]
    ]
    assert wrong == []
