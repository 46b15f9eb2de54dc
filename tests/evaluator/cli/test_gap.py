"""``holdfast gap``: two runs or two files of responses, a panel, and refusals."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.cli import main
from evaluator.cli.gap import PANEL_COLUMNS

Captured = pytest.CaptureFixture[str]


def responses(path: Path, right: int, n: int, cut: int = 0) -> str:
    lines = [{"response": "#### 1", "gold": "1"}] * right
    lines += [{"response": "It is", "gold": "1", "cut": True}] * cut
    lines += [{"response": "#### 2", "gold": "1"}] * (n - right - cut)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


def run_folder(path: Path, right: int, n: int, *, not_counted: int = 0, **identity: str) -> str:
    path.mkdir()
    row = {"n": n, "right": right, "truncated": 0, "not_counted": not_counted}
    (path / "graders.json").write_text(json.dumps({"numeric-2": row, "numeric-1": row}))
    facts = {"model": "m", "protocol": "p", "set": path.name, "shots": ""}
    (path / "run.json").write_text(json.dumps(facts | identity))
    return str(path)


def found(captured: Captured) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(captured.readouterr().out)
    return answer


@pytest.mark.slow
def test_two_files_of_responses(tmp_path: Path, capsys: Captured) -> None:
    public = responses(tmp_path / "public.jsonl", 982, 1000)
    private = responses(tmp_path / "private.jsonl", 782, 900, cut=3)
    assert main(["gap", public, private, "--json"]) == 0
    answer = found(capsys)
    assert (answer["public"]["right"], answer["private"]["right"]) == (982, 782)
    assert answer["raw"]["evidence"] == "overfit"
    assert answer["grader"] == "numeric-2"
    assert main(["gap", public, private]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("public    98.2%  982/1000")
    assert lines[3].split()[:2] == ["raw", "+11.3"]
    assert "equally hard by construction" in lines[4]


def test_two_runs_and_what_they_should_share(tmp_path: Path, capsys: Captured) -> None:
    public = run_folder(tmp_path / "a", 90, 100)
    private = run_folder(tmp_path / "b", 80, 100)
    assert main(["gap", public, private, "--json"]) == 0
    assert found(capsys)["notes"] == []
    other = run_folder(tmp_path / "c", 80, 100, model="other", protocol="q", set="a")
    assert main(["gap", public, other, "--json"]) == 0
    assert found(capsys)["notes"] == [
        "the runs differ in their model: the gap is not one model's",
        "the runs differ in their protocol: the gap is not one model's",
        "both runs are of the same set",
    ]


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    path = tmp_path / "panel.csv"
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(PANEL_COLUMNS)
        for k in range(12):
            rows.writerow([f"m{k}", f"f{k}", 500 + 40 * k, 1000, 423 + 36 * k, 900])
    return path


def test_a_panel_adjusts_the_gap(tmp_path: Path, panel: Path, capsys: Captured) -> None:
    public = responses(tmp_path / "public.jsonl", 780, 1000)
    private = responses(tmp_path / "private.jsonl", 675, 900)
    assert main(["gap", public, private, "--panel", str(panel)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].split()[0] == "adjusted"
    assert lines[5] == "panel: 12 of 12 references compared"
    assert not any("by construction" in line for line in lines)


def test_what_cannot_be_compared_is_refused(tmp_path: Path, panel: Path, capsys: Captured) -> None:
    good = responses(tmp_path / "good.jsonl", 5, 10)
    empty = responses(tmp_path / "empty.jsonl", 0, 0)
    unfinished = run_folder(tmp_path / "unfinished", 5, 10, not_counted=2)
    (tmp_path / "nothing").mkdir()
    short = tmp_path / "short.csv"
    short.write_text("\n".join(panel.read_text().splitlines()[:4]) + "\n")
    bad = tmp_path / "bad.csv"
    bad.write_text(panel.read_text().replace("500,1000", "1500,1000"))
    columns = tmp_path / "columns.csv"
    columns.write_text("model,family\n")
    for arguments in (
        ["/nowhere", good],
        [good, empty],
        [good, unfinished],
        [good, str(tmp_path / "nothing")],
        [good, good, "--panel", str(short)],
        [good, good, "--panel", str(bad)],
        [good, good, "--panel", str(columns)],
        [good, good, "--panel", "/nowhere"],
    ):
        assert main(["gap", *arguments, "--json"]) == 2
        assert found(capsys)["error"] == "responses_unreadable", arguments
    assert main(["gap", good, good, "--grader", "none", "--json"]) == 2
    assert found(capsys)["error"] == "unknown_grader"
