"""``python -m evaluator overlap``: the report on disk and on the terminal, and refusals."""

import json
from pathlib import Path

import pytest

from evaluator.cli import main
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
