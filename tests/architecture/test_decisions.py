"""The table "Where is it decided?" of docs/architecture.md names what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(
    r"^\| (?P<question>[^|]+\?) \| `(?P<file>[^`]+\.py)` \| (?P<start>[^|]+) \|$", re.M
)
ROWS = list(ROW.finditer((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")))


def test_the_table_answers_ten_questions() -> None:
    assert len(ROWS) == 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["file"]))
def test_each_question_leads_to_a_file_that_defines_what_it_names(row: re.Match[str]) -> None:
    source = (ROOT / row["file"]).read_text(encoding="utf-8")
    for name in re.findall(r"`(\w+)`", row["start"]):
        assert re.search(rf"^ *(?:def|class) {name}\b", source, re.M), name
