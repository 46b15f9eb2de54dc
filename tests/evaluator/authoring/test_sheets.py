"""Sheets are read strictly, from any program, and are private to their owner."""

import os
import stat
from pathlib import Path

import pytest

from evaluator.authoring import sheets
from evaluator.errors import Code, EvaluatorError

COLUMNS = ("item", "question")
TEXTS = ['plain, with "quotes"', "two\nlines\r\nof it", "=1+1", "naïve — ‘so’", "", "  spaces  "]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sheet.csv"


def refusal(path: Path, content: bytes) -> EvaluatorError:
    path.write_bytes(content)
    with pytest.raises(EvaluatorError) as caught:
        sheets.read_rows(path, COLUMNS)
    assert caught.value.code is Code.SHEET_UNREADABLE
    return caught.value


def test_what_is_written_is_read_back(path: Path) -> None:
    rows = [{"item": str(number), "question": text} for number, text in enumerate(TEXTS, start=1)]
    sheets.write_rows(path, COLUMNS, rows)
    assert sheets.read_rows(path, COLUMNS) == rows
    assert sheets.read_numbered(path, COLUMNS).keys() == set(range(1, len(TEXTS) + 1))


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        sheets.write_rows(tmp_path / "a" / "sheet.csv", COLUMNS, [])
        sheets.write_lines(tmp_path / "a" / "items.jsonl", [{"question": "q"}])
        sheets.write_text(tmp_path / "a" / "brief.md", "text")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "a").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_nothing_is_overwritten(path: Path) -> None:
    path.write_text("original")
    for write in (
        lambda: sheets.write_rows(path, COLUMNS, []),
        lambda: sheets.write_lines(path, []),
        lambda: sheets.write_text(path, ""),
    ):
        with pytest.raises(EvaluatorError) as caught:
            write()
        assert caught.value.code is Code.OUT_UNWRITABLE
    assert path.read_text() == "original"


@pytest.mark.parametrize(
    "content",
    [
        b"item,question\n1,a\n",
        b"\xef\xbb\xbfitem,question\r\n1,a\r\n",
        b"more,question,item\nx,a,1\n",
        b'item,question\n"1","a"',
    ],
    ids=["as written", "as Excel saves it", "columns moved", "no last newline"],
)
def test_sheets_as_programs_save_them(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    (row,) = sheets.read_rows(path, COLUMNS)
    assert (row["item"], row["question"]) == ("1", "a")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"item\n1\n",
        b"item;question\n1;a\n",
        b"item,question\n1\n",
        b"item,question\n1,a,b\n",
        b'item,question\n1,"a\n',
        b'item,question\n1,"a" b\n',
        b"item,question\n1,\xff\n",
        b"item,question\n1," + b"a" * 200_000 + b"\n",
    ],
    ids=[
        "empty",
        "no column",
        "semicolons",
        "short row",
        "long row",
        "open quote",
        "after a quote",
        "latin-1",
        "huge",
    ],
)
def test_other_files_are_refused_without_their_text(path: Path, content: bytes) -> None:
    assert str(refusal(path, content)).count("aaa") == 0


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(EvaluatorError) as caught:
        sheets.read_rows(tmp_path / "none.csv", COLUMNS)
    assert caught.value.code is Code.SHEET_UNREADABLE


@pytest.mark.parametrize("number", ["", "x", "-1", "1.0", "²", "١", "1"])
def test_a_number_that_is_none_or_comes_twice(path: Path, number: str) -> None:
    rows = [{"item": "1", "question": "a"}, {"item": number, "question": "b"}]
    sheets.write_rows(path, COLUMNS, rows)
    with pytest.raises(EvaluatorError) as caught:
        sheets.read_numbered(path, COLUMNS)
    assert (caught.value.code, caught.value.detail) == (
        Code.SHEET_UNREADABLE,
        "sheet.csv row 2: item",
    )
