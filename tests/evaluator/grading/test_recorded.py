"""``numeric-1`` on real outputs: the collected hard cases, and seven systems' recorded answers to GSM8K.

The recorded labels come from their projects' own graders. Every place where ours differs was read
beside its gold answer: ours is right in all nineteen. The labels of the rho systems forgive a factor of one hundred
(0.02 for 2) and reject a unit or an equation in the answer ("80 + 150 = 230 miles").
"""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from evaluator import grading
from evaluator.contract import Outcome

pytestmark = pytest.mark.data

FACTOR, FORM = "the label forgives a factor of 100", "the label rejects the form"
DIFFERENT: dict[str, dict[int, tuple[str, str, str]]] = {
    "openai-6b_finetuning": {},
    "openai-6b_verification": {},
    "openai-175b_finetuning": {},
    "openai-175b_verification": {},
    "rho-math-1b-v0.1": {
        16: ("230", "230", FORM),
        76: ("5", "5", FORM),
        328: ("2", "0.02", FACTOR),
        413: ("25", "2500", FACTOR),
        908: ("14", "14", FORM),
        951: ("300", "3", FACTOR),
    },
    "rho-math-7b-v0.1": {
        53: ("40", "40", FORM),
        138: ("105", "105", FORM),
        405: ("50", "50", FORM),
        466: ("1", "100", FACTOR),
        509: ("4", "4", FORM),
        586: ("800", "8", FACTOR),
        607: ("10", "10", FORM),
        669: ("132", "132", FORM),
        692: ("32", "32", FORM),
        844: ("180", "180", FORM),
        1182: ("1800", "18", FACTOR),
    },
    "rho-math-1b-interpreter-v0.1": {199: ("7500", "75", FACTOR), 594: ("42", "4200", FACTOR)},
}
COUNTS = {
    "openai-6b_finetuning": (286, 1033, 0),
    "openai-6b_verification": (515, 804, 0),
    "openai-175b_finetuning": (458, 861, 0),
    "openai-175b_verification": (742, 577, 0),
    "rho-math-1b-v0.1": (477, 842, 0),
    "rho-math-7b-v0.1": (886, 433, 0),
    "rho-math-1b-interpreter-v0.1": (768, 549, 2),
}


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def recorded(data: Path, system: str) -> list[tuple[str, str, bool]]:
    """Response, gold and the project's label for each item of the test set, in order."""
    if system.startswith("rho"):
        found = rows(data / "outputs" / "rho1" / f"{system}__gsm8k.jsonl.gz")
        assert [row["idx"] for row in found] == list(range(1319))
        return [(row["response"], row["gold"], row["correct"]) for row in found]
    found = rows(data / "outputs" / "openai" / "example_model_solutions.jsonl.gz")
    name = system.removeprefix("openai-")
    return [(r[name]["solution"], r["ground_truth"].rpartition("A: ")[2], r[name]["is_correct"]) for r in found]


@pytest.mark.parametrize("system", DIFFERENT)
def test_labels_of_recorded_answers(data_dir: Path, system: str) -> None:
    answers = recorded(data_dir, system)
    grades = [grading.grade("numeric-1", response, gold) for response, gold, _ in answers]
    outcomes = [grade.outcome for grade in grades]
    differing = {
        i: (answers[i][1], grade.extracted)
        for i, grade in enumerate(grades)
        if (grade.outcome is Outcome.RIGHT) != answers[i][2]
    }
    assert differing == {i: (gold, extracted) for i, (gold, extracted, _) in DIFFERENT[system].items()}
    counted = (outcomes.count(Outcome.RIGHT), outcomes.count(Outcome.WRONG), outcomes.count(Outcome.NO_ANSWER))
    assert counted == COUNTS[system]
    assert sum(counted) == 1319


def test_reading_of_the_differences_is_consistent() -> None:
    """Where the label rejects a form our answer is the gold; where it forgives a factor, that factor is there."""
    for places in DIFFERENT.values():
        for gold, extracted, reason in places.values():
            if reason is FORM:
                assert extracted == gold
            else:
                assert float(extracted) / float(gold) == pytest.approx(100) or float(gold) / float(
                    extracted
                ) == pytest.approx(100)


def test_hard_cases_are_graded_as_a_human_would(data_dir: Path) -> None:
    cases = [json.loads(line) for line in (data_dir / "grading" / "cases.jsonl").read_bytes().splitlines()]
    clear = [case for case in cases if not case["ambiguous"]]
    assert (len(cases), len(clear)) == (68, 56)
    wrong = [
        case["id"]
        for case in clear
        if (grading.grade("numeric-1", case["response"], case["gold"]).outcome is Outcome.RIGHT)
        != case["should_be_correct"]
    ]
    assert wrong == []
