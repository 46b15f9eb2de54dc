"""``grade`` grades files of every kind: by gold answers of the lines, or by the items that were asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluator import jail
from evaluator.cli import main
from evaluator.sandbox import cells
from tests.evaluator.test_item_kinds import line

needs_jail = pytest.mark.skipif(not jail.available(), reason="bubblewrap does not work here")
needs_sandbox = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))


def write(path: Path, *records: object) -> str:
    path.write_text("\n".join(json.dumps(record) for record in records))
    return str(path)


def graded(
    capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    assert main(["grade", *arguments, "--json"]) == code
    *lines, counts = map(json.loads, capsys.readouterr().out.splitlines())
    return lines, counts


def test_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = write(
        tmp_path / "answers.jsonl",
        {"response": "The answer is (B).", "gold": "B"},
        {"response": "(A)", "gold": "B"},
    )
    lines, counts = graded(capsys, answers, "--grader", "choice")
    assert [one["outcome"] for one in lines] == ["right", "wrong"]
    assert counts["n"] == 2
    bad = write(tmp_path / "bad.jsonl", {"response": "B", "gold": "7"})
    _, facts = graded(capsys, bad, "--grader", "choice-1", code=2)
    assert (facts["error"], facts["detail"]) == ("responses_unreadable", "line 1: choice")


def test_golds_of_the_items_by_order_and_by_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = tmp_path / "items.jsonl"
    items.write_bytes(line("choice") + b"\n" + line("choice", question="Else?", answer="A"))
    by_order = write(tmp_path / "order.jsonl", {"response": "B"}, {"response": "B"})
    lines, _ = graded(capsys, by_order, "--grader", "choice-1", "--items", str(items))
    assert [one["outcome"] for one in lines] == ["right", "wrong"]
    by_index = write(tmp_path / "index.jsonl", {"response": "B", "index": 1})
    lines, _ = graded(capsys, by_index, "--grader", "choice-1", "--items", str(items))
    assert [one["outcome"] for one in lines] == ["wrong"]
    for index in (2, -1, True, "0"):
        beyond = write(tmp_path / "beyond.jsonl", {"response": "B", "index": index})
        arguments = (beyond, "--grader", "choice-1", "--items", str(items))
        _, facts = graded(capsys, *arguments, code=2)
        assert facts["detail"] == "line 1: no item of this index"


@needs_jail
def test_expressions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = write(
        tmp_path / "answers.jsonl", {"response": r"\boxed{0.5}", "gold": r"\frac{1}{2}"}
    )
    lines, _ = graded(capsys, answers, "--grader", "expression-1")
    assert lines[0]["outcome"] == "right"


@needs_sandbox
def test_programs_and_tests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = tmp_path / "items.jsonl"
    items.write_bytes(line("tests"))
    whole = write(
        tmp_path / "whole.jsonl",
        {"response": "def f(x):\n    return x + 1\n", "index": 0},
        {"response": "def f(x):\n    return x\n", "index": 0},
        {"response": "I cannot.", "index": 0},
    )
    lines, counts = graded(capsys, whole, "--grader", "tests-1", "--items", str(items))
    assert [one["outcome"] for one in lines] == ["right", "wrong", "no_answer"]
    assert counts["right"] == 1
    body = write(tmp_path / "body.jsonl", {"response": "    return x + 1\n"})
    asked = ("--items", str(items), "--protocol", "humaneval-0shot")
    lines, _ = graded(capsys, body, "--grader", "tests-1", *asked)
    assert lines[0]["outcome"] == "right"
    items.write_bytes(line("program", entry=None))
    value = write(tmp_path / "value.jsonl", {"response": "def g():\n    return [1, 2.5]\n"})
    lines, _ = graded(capsys, value, "--grader", "program-1", "--items", str(items))
    assert lines[0]["outcome"] == "right"


def test_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = tmp_path / "items.jsonl"
    items.write_bytes(line("tests"))
    answers = write(tmp_path / "answers.jsonl", {"response": "B"})
    _, facts = graded(capsys, answers, "--grader", "tests-1", code=2)
    assert (facts["error"], facts["detail"]) == ("grader_unfit", "tests-1 needs --items")
    arguments = (answers, "--grader", "choice-1", "--items", str(items))
    _, facts = graded(capsys, *arguments, code=2)
    assert (facts["error"], facts["detail"]) == ("grader_unfit", "choice-1 of items of kind tests")
