"""``python -m evaluator overlap``: the report on disk and on the terminal, and refusals."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from evaluator.authoring.overlap import THRESHOLDS
from evaluator.cli import main, overlap_page
from evaluator.contract.overlaps import MeasureName, OverlapReport
from evaluator.items import load_items, set_digest
from tests.evaluator.authoring.test_likeness import HENS, OTHER, REWRITTEN


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    items = tmp_path / "set.jsonl"
    items.write_text("".join(f"{json.dumps({'question': text})}\n" for text in (OTHER, HENS)))
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"text": REWRITTEN}) + "\n")
    folder = tmp_path / "run"
    folder.mkdir()
    lines = [
        {"index": index, "outcome": outcome, "extracted": "", "completion": ""}
        for index, outcome in enumerate(("wrong", "right"))
    ]
    (folder / "outcomes.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return ["--set", str(items), "--corpus", str(corpus), "--processes", "1"]


def test_the_report_has_counts_places_and_scores_and_no_text(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["overlap", *files, "--out", str(out), "--run", str(tmp_path / "run"), "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report == json.loads((out / "report.json").read_text())
    [found] = report["matches"]
    assert (found["item"], found["measure"]) == (2, "numbers and words")
    assert [(best["file"], best["document"]) for best in found["best"]] == [("corpus.jsonl", 1)]
    row = next(row for row in report["rows"] if row["measure"] == "numbers and words")
    assert (row["overlapping"], row["right_overlapping"], row["n_overlapping"]) == (1, 1, 1)
    assert (row["right_others"], row["n_others"]) == (0, 1)
    for path in out.iterdir():
        assert "hens" not in path.read_text()


def test_the_table_is_printed(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["overlap", *files, "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["measure", "at", "least", "items"]
    assert any(line.startswith("numbers and words      0.25     1 (50.0%)") for line in lines)
    assert lines[-1].startswith("A match is a reason to read both texts.")


def test_the_page_has_the_counts_and_both_scores(files: list[str], tmp_path: Path) -> None:
    """It is one file: no script, no address, no text of the set."""
    out = tmp_path / "out"
    assert main(["overlap", *files, "--out", str(out), "--run", str(tmp_path / "run")]) == 0
    page = (out / "report.html").read_text()
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page)
    start = cells.index("numbers and words")
    assert cells[start : start + 8] == [
        "numbers and words", "0.25", "1", "50.0", "1 of 1", "100.0", "0 of 1", "0.0",
    ]  # fmt: skip
    assert cells[-5:-2] == ["2", "numbers and words", cells[-3]]
    assert cells[-2:] == ["1", "corpus.jsonl"]
    assert "No item has a match by: 13 words, 8 words, " in page
    assert "Similar, %" in page and "reason to read both texts" in page
    assert not re.search(r"<script|https?://|src=|hens", page)


def test_the_page_without_a_run_has_no_scores_and_names_are_escaped(
    files: list[str], tmp_path: Path
) -> None:
    odd = tmp_path / "<b>&.jsonl"
    (tmp_path / "corpus.jsonl").rename(odd)
    files[files.index("--corpus") + 1] = str(odd)
    assert main(["overlap", *files, "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Similar" not in page
    assert "&lt;b&gt;&amp;.jsonl" in page and "<b>&" not in page


def test_the_page_of_a_corpus_without_a_match(files: list[str], tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"text": "Nothing alike."}) + "\n")
    arguments = ["overlap", *files, "--out", str(tmp_path / "out"), "--run", str(tmp_path / "run")]
    assert main(arguments) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No item has a match." in page
    assert page.count(">–<") >= 2, "of no items there is no share"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (["--corpus", "/nowhere"], "corpus_unreadable"),
        (["--set", "/nowhere"], "set_unreadable"),
        (["--run", "/nowhere"], "responses_unreadable"),
        (["--out", "/proc/nowhere"], "out_unwritable"),
    ],
)
def test_bad_paths_are_refused(
    files: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    code: str,
) -> None:
    arguments = ["overlap", *files, "--out", str(tmp_path / "out"), *change, "--json"]
    assert main(arguments) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["error"] == code


def test_the_report_is_one_that_a_site_reads(files: list[str], tmp_path: Path) -> None:
    """It names the set by its digest where the file is one of items."""
    items = tmp_path / "set.jsonl"
    texts = [json.dumps({"question": text, "answer": "#### 4"}) for text in (OTHER, HENS)]
    items.write_text("\n".join(texts))
    out = tmp_path / "out"
    assert main(["overlap", *files, "--out", str(out), "--run", str(tmp_path / "run")]) == 0
    report = OverlapReport.from_dict(json.loads((out / "report.json").read_text()))
    assert report.is_possible() and report.has_scores
    assert report.set == set_digest(load_items(items))
    assert set(get_args(MeasureName)) == set(THRESHOLDS)


def test_a_list_that_is_cut_has_the_strongest_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap_page, "MOST_ITEMS", 2)
    matches = [
        {
            "item": item,
            "measure": "numbers and words",
            "best": [{"value": value, "file": f"{item}.txt", "document": 1}],
        }
        for item, value in ((1, 0.3), (2, 0.9), (3, 0.6))
    ]
    listed = overlap_page._places(matches)
    assert re.findall(r"(\d)\.txt", listed) == ["2", "3"] and "(2 of 3; " in listed
