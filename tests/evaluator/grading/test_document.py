"""The tables of docs/grading.md say what the graders do."""

import re
from pathlib import Path

import pytest

from evaluator import grading
from evaluator.contract import Outcome

TEXT = (Path(__file__).parents[3] / "docs" / "grading.md").read_text()
ROW = re.compile(r"^\| `([^|]*)` \| `([^`]*)` \| ([a-z∅]+) \| ([a-z∅]+) \| ([a-z∅]+) \|$", re.MULTILINE)
WORDS = {Outcome.RIGHT: "right", Outcome.WRONG: "wrong", Outcome.NO_ANSWER: "∅"}
ROWS = ROW.findall(TEXT)


def test_the_table_was_found() -> None:
    section = TEXT.partition("## Forms")[2].partition("## How")[0]
    assert len(ROWS) == section.count("\n| `") > 50


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_form(row: tuple[str, ...]) -> None:
    completion, gold, *said = row
    found = [
        WORDS[grading.grade(grading.resolve(name), completion.replace("\\n", "\n"), gold).outcome]
        for name in ("numeric", "strict", "flexible")
    ]
    assert found == said


def test_every_grader_is_named() -> None:
    for grader in grading.ids():
        assert f"| `{grader}` |" in TEXT
