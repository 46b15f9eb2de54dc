"""``holdfast compare`` of two runs that lie here: folders, files of responses, and refusals."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from evaluator.cli import main

Captured = pytest.CaptureFixture[str]


def run_folder(path: Path, right: int, n: int, **identity: str) -> str:
    """Run whose first items are right."""
    path.mkdir()
    facts = {"model": path.name, "protocol": "p", "set": "s", "shots": ""}
    (path / "run.json").write_text(json.dumps(facts | identity))
    lines = [
        {"index": index, "outcome": "right" if index < right else "wrong"} for index in range(n)
    ]
    lines.append({"index": 0, "outcome": "wrong", "sample": 0})
    text = [json.dumps(line | {"extracted": "", "completion": ""}) for line in lines]
    (path / "outcomes.jsonl").write_text("\n".join(text) + "\n")
    return str(path)


def responses(path: Path, right: int, golds: Sequence[str]) -> str:
    lines = [
        {"response": f"#### {gold if place < right else 99}", "gold": gold}
        for place, gold in enumerate(golds)
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(path)


def compare(*arguments: str) -> int:
    return main(["compare", *arguments])


def found(captured: Captured) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(captured.readouterr().out.splitlines()[-1])
    return answer


@pytest.mark.slow
def test_parent_and_child_on_both_sets(tmp_path: Path, capsys: Captured) -> None:
    child = run_folder(tmp_path / "child", 90, 100)
    parent = run_folder(tmp_path / "parent", 60, 100)
    private = [run_folder(tmp_path / f"{name}-2", 55, 100, set="t") for name in ("child", "parent")]
    others = [run_folder(tmp_path / f"other-{k}", 12 * k, 100) for k in range(1, 8)]
    arguments = [child, parent, "--private", *private, "--others", *others]
    assert compare(*arguments, "--json") == 0
    answer = found(capsys)
    public = answer["public"]
    assert (public["wins"], public["losses"], public["n"]) == (30, 0, 100)
    assert public["p"] == pytest.approx(2 * 0.5**30)
    assert answer["private"]["difference"] == 0
    assert answer["gap"]["difference"] == pytest.approx(0.3)
    assert [group["name"] for group in answer["difficulty"]] == ["hard", "middling", "easy"]
    assert answer["notes"] == []
    assert compare(*arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["public", "100", "+30.0"]
    assert "gap: +35.0 pp and +5.0 pp" in lines
    assert any(line.startswith("public, hard") for line in lines)


def test_runs_that_differ_in_more_than_the_model(tmp_path: Path, capsys: Captured) -> None:
    first = run_folder(tmp_path / "a", 9, 10)
    second = run_folder(tmp_path / "b", 8, 10, protocol="q", model="a")
    assert compare(first, second, "--json") == 0
    assert found(capsys)["notes"] == [
        "the runs differ in their protocol, which may be the whole difference",
        "both runs are of the same model",
    ]


def test_files_of_responses(tmp_path: Path, capsys: Captured) -> None:
    golds = [str(number) for number in range(20)]
    first = responses(tmp_path / "a.jsonl", 15, golds)
    second = responses(tmp_path / "b.jsonl", 5, [f"{gold}.0" for gold in golds[:0]] + golds)
    assert compare(first, second, "--json") == 0
    assert (found(capsys)["public"]["wins"]) == 10


def test_refusals(tmp_path: Path, capsys: Captured) -> None:
    run = run_folder(tmp_path / "a", 9, 10)
    golds = [str(number) for number in range(10)]
    file = responses(tmp_path / "a.jsonl", 5, golds)
    cases = [
        ([run, run_folder(tmp_path / "b", 9, 10, set="t")], "compare_unfit"),
        ([run, run_folder(tmp_path / "c", 9, 11)], "compare_unfit"),
        ([run, file], "compare_unfit"),
        ([file, responses(tmp_path / "b.jsonl", 5, golds[::-1])], "compare_unfit"),
        ([run, str(tmp_path / "none")], "responses_unreadable"),
        ([file, str(tmp_path / "none")], "responses_unreadable"),
        ([run, run, "--private", file, run], "compare_unfit"),
        (["no-run", "nor-this", "--site", "https://site.example"], "run_unknown"),
        (
            ["A", "B", "--pair", "p", "--others", run, "--site", "https://x.example"],
            "compare_unfit",
        ),
    ]
    for arguments, code in cases:
        assert compare(*arguments, "--json") == 2, arguments
        assert found(capsys)["error"] == code, arguments
