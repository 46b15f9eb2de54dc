"""The tables of docs/grading.md say what the graders do."""

import re
from pathlib import Path

import pytest

from bench.grading import CLASSES, answers, measure
from evaluator import grading
from evaluator.contract import Outcome
from tests.evaluator.grading.test_recorded import COUNTS

TEXT = (Path(__file__).parents[3] / "docs" / "grading.md").read_text()
ROW = re.compile(
    r"^\| `([^|]*)` \| `([^`]*)` \| ([a-z∅]+) \| ([a-z∅]+) \| ([a-z∅]+) \| ([a-z∅]+) \|$",
    re.MULTILINE,
)
GRADERS = ("numeric-2", "numeric-1", "lm-eval-strict-3", "lm-eval-flexible-3")
WORDS = {Outcome.RIGHT: "right", Outcome.WRONG: "wrong", Outcome.NO_ANSWER: "∅"}
ROWS = ROW.findall(TEXT)


def test_the_table_was_found() -> None:
    section = TEXT.partition("## Forms")[2].partition("## How")[0]
    assert len(ROWS) == section.count("\n| `") > 50


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_form(row: tuple[str, ...]) -> None:
    completion, gold, *said = row
    found = [
        WORDS[grading.grade(grader, completion.replace("\\n", "\n"), gold).outcome]
        for grader in GRADERS
    ]
    assert found == said


def test_every_grader_is_named() -> None:
    for grader in grading.ids():
        assert f"| `{grader}` |" in TEXT


@pytest.mark.data
@pytest.mark.slow
def test_the_figures_are_those_of_the_bench(data_dir: Path) -> None:
    section = TEXT.partition("## How often")[2].partition("## Control")[0]
    rows = [
        [cell.strip().replace(",", "") for cell in line.split("|")[2:-1]]
        for line in section.splitlines()
        if line.endswith("|")
    ]
    shown = sorted([int(cell) for cell in row] for row in rows if row[0].isdigit())
    found = []
    for system, recorded in answers(data_dir / "outputs").items():
        if system not in COUNTS:  # more answers than this project was given
            continue
        record = measure(system, recorded)
        classes = [record["disagreements"][name] for name in CLASSES]
        found.append(
            [
                record["n"],
                *(record[grader]["agrees"] for grader in grading.alternatives(grading.HEADLINE)),
                *classes,
            ]
        )
    assert shown == sorted(found)
