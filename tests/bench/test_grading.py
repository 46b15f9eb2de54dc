"""``python -m bench.grading`` over a small folder of its own: what it prints, and when it fails."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bench import grading


def gzipped(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rho = [
        {"idx": 0, "response": "The answer is 18.", "gold": "18", "correct": True},
        {"idx": 1, "response": "The answer is 0.02.", "gold": "2", "correct": True},
        {"idx": 2, "response": "The answer is $7.00.", "gold": "7", "correct": True},
    ]
    gzipped(tmp_path / "outputs" / "rho1" / "small__gsm8k.jsonl.gz", *rho)
    gzipped(
        tmp_path / "outputs" / "rho1" / "small__minerva_math.jsonl.gz",
        {"response": "x", "gold": "\\pi"},
    )
    given = {"ground_truth": "words\nA: 3", "1b": {"solution": "A: 3", "is_correct": True}}
    gzipped(tmp_path / "outputs" / "openai" / "solutions.jsonl.gz", given | {"question": "q"})
    return tmp_path


def judged(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    verdict: str,
    response: str = "The answer is 0.02.",
) -> None:
    table = folder / "adjudicated.csv"
    digest = hashlib.sha256(response.encode()).hexdigest()
    table.write_text(f"system,item,sha256,class,reason\nsmall,1,{digest},{verdict},a factor\n")
    monkeypatch.setattr(grading, "TABLE", table)


def run(data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    code = grading.main(["--data", str(data), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return code, found


def test_a_disagreement_that_nobody_read_fails(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = run(data, capsys)
    assert (code, found["classes"]) == (1, {"unread": 1})
    small, openai = found["systems"]
    assert (small["system"], small["n"], small["labelled right"]) == ("small", 3, 3)
    assert [small[g]["agrees"] for g in grading.grading.alternatives("numeric-2")] == [2, 2, 0, 1]
    assert (openai["system"], openai["numeric-1"]["agrees"]) == ("openai-1b", 1)


@pytest.mark.parametrize(("verdict", "expected"), [("theirs", 0), ("ambiguous", 0), ("ours", 1)])
def test_only_a_fault_of_ours_fails(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verdict: str,
    expected: int,
) -> None:
    judged(monkeypatch, data, verdict)
    code, found = run(data, capsys)
    assert (code, found["classes"]) == (expected, {verdict: 1})


def test_a_reading_is_pinned_to_the_answer(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(monkeypatch, data, "theirs", response="another answer")
    assert run(data, capsys)[1]["classes"] == {"unread": 1}


def test_a_folder_without_answers_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        grading.main(["--data", str(tmp_path)])
    assert ended.value.code == 2
    assert "no recorded answers" in capsys.readouterr().err
