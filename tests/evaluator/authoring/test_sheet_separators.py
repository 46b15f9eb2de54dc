"""A sheet with another separator or encoding is refused by its name, and says what to do."""

from pathlib import Path

import pytest

from evaluator.authoring.sheets import read_rows
from evaluator.errors import Code, EvaluatorError

COLUMNS = ("task", "question", "answer")
ROWS = [COLUMNS, ("1", "How many eggs, in all?", "18")]


def refusal(path: Path) -> str:
    with pytest.raises(EvaluatorError) as caught:
        read_rows(path, COLUMNS)
    assert caught.value.code is Code.SHEET_UNREADABLE
    return str(caught.value)


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")]
)
def test_another_separator_is_named(tmp_path: Path, separator: str, name: str) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("\n".join(separator.join(row) for row in ROWS))
    said = refusal(sheet)
    assert f"sheet.csv is separated by {name}" in said and "commas" in said
    assert "eggs" not in said


def test_a_first_line_that_tells_the_separator(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("sep=;\n" + "\n".join(";".join(row) for row in ROWS))
    assert "semicolons" in refusal(tmp_path / "sheet.csv")


def test_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_bytes("\n".join(",".join(row) for row in ROWS).encode("utf-16"))
    assert "not UTF-8" in refusal(tmp_path / "sheet.csv")


def test_a_missing_column_stays_one(tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("task;no,question\n1,2\n")
    assert "lacks the column task" in refusal(tmp_path / "sheet.csv")
