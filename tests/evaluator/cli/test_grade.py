"""``python -m evaluator grade``: outcomes as lines, in order, while the file is read."""

import json
from pathlib import Path

import pytest

from evaluator import grading
from evaluator.cli import main


def write(folder: Path, *lines: object) -> Path:
    path = folder / "responses.jsonl"
    path.write_text(
        "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    )
    return path


def answer(response: str = "#### 18", gold: str = "18", **more: object) -> dict[str, object]:
    return {"response": response, "gold": gold, **more}


def test_outcomes_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path, answer(), answer("#### 17", id=3), "", answer("I do not know"), answer("16 - 3", cut=True), answer("", "1,000")
    )  # fmt: skip
    assert main(["grade", str(path), "--grader", "numeric-1"]) == 0
    shown = capsys.readouterr()
    assert [json.loads(line) for line in shown.out.splitlines()] == [
        {"outcome": "right", "extracted": "18"},
        {"outcome": "wrong", "extracted": "17"},
        {"outcome": "no_answer", "extracted": ""},
        {"outcome": "truncated", "extracted": ""},
        {"outcome": "no_answer", "extracted": ""},
    ]
    assert shown.err == "n 5  right 1  wrong 1  no_answer 2  truncated 1\n"


def test_json_prints_the_counts_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            [
                "grade",
                str(write(tmp_path, answer(), answer("7"))),
                "--grader",
                "numeric-1",
                "--json",
            ]
        )
        == 0
    )
    shown = capsys.readouterr()
    assert json.loads(shown.out.splitlines()[-1]) == {
        "n": 2, "right": 1, "wrong": 1, "no_answer": 0, "truncated": 0, "not_counted": 0,
    }  # fmt: skip
    assert shown.err == ""


@pytest.mark.parametrize(
    "bad",
    [
        "{", "[]", "null", '"x"', {"response": "1"}, {"gold": "1"}, {"response": 1, "gold": "1"}, {"response": "1", "gold": 1},
        {"response": 5, "gold": "1"}, answer(gold="3:30"), answer(gold=""), answer(cut="yes"), answer(cut=1), "[" * 100_000,
    ],
    ids=range(14),
)  # fmt: skip
def test_a_bad_line_is_named_and_what_stands_before_is_graded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: object
) -> None:
    path = write(tmp_path, answer(), answer("a secret of its own"), bad, answer())
    assert main(["grade", str(path), "--grader", "numeric-1"]) == 2
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 2
    assert "responses_unreadable" in shown.err
    assert "(line 3)" in shown.err
    assert "secret" not in shown.err


@pytest.mark.parametrize(("cut", "outcome"), [({}, "no_answer"), ({"cut": True}, "truncated")])
def test_a_response_of_null_is_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: dict[str, bool], outcome: str
) -> None:
    path = write(tmp_path, {"response": None, "gold": "18"} | cut, answer())
    assert main(["grade", str(path), "--grader", "all"]) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {one["outcome"] for one in first.values()} == {outcome}
    assert {one["outcome"] for one in second.values()} == {"right"}


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("1/4", "a fraction"), ("-3/4", "a fraction"), ("1 1/2", "a fraction"), ("¼", "a fraction"), ("#### 1/4", "a fraction"), ("$18", "a sign of a currency"),
        ("18 €", "a sign of a currency"), ("18%", "a percent sign"), (r"\frac{1}{4}", "a fraction"),
    ],
)  # fmt: skip
def test_a_gold_answer_of_a_known_kind_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], gold: str, reason: str
) -> None:
    assert (
        main(["grade", str(write(tmp_path, answer(), answer("0.25", gold))), "--grader", "numeric"])
        == 2
    )
    said = capsys.readouterr().err
    assert (
        f"(line 2: its gold answer has {reason}" in said
        or f"(line 2: its gold answer is {reason}" in said
    )
    assert "decimal" in said and "as text" in said
    assert gold not in said


def test_a_gold_answer_that_is_no_text_is_refused_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["grade", str(write(tmp_path, {"response": "18", "gold": 18})), "--grader", "numeric"])
        == 2
    )
    said = capsys.readouterr().err
    assert "(line 1)" in said and "'gold' as text" in said


@pytest.mark.parametrize("indent", [None, 1])
def test_one_array_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], indent: int | None
) -> None:
    path = write(tmp_path, json.dumps([answer(), answer()], indent=indent))
    assert main(["grade", str(path), "--grader", "numeric"]) == 2
    said = capsys.readouterr().err
    assert "(line 1: a JSON array" in said and "one JSON object a line" in said


def test_bytes_that_are_no_text_are_a_bad_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_bytes(b'{"response": "\xff", "gold": "1"}\n')
    assert main(["grade", str(path), "--grader", "numeric-1"]) == 2
    assert "(line 1)" in capsys.readouterr().err


def test_no_such_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(tmp_path / "none.jsonl"), "--grader", "numeric-1"]) == 2
    assert "responses_unreadable" in capsys.readouterr().err


def test_unknown_grader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(write(tmp_path, answer())), "--grader", "llm-judge"]) == 2
    shown = capsys.readouterr()
    assert "unknown_grader" in shown.err
    assert shown.out == ""


def test_an_empty_file_grades_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["grade", str(write(tmp_path)), "--grader", "numeric-1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 0


@pytest.mark.slow
def test_a_hundred_thousand_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = json.dumps(answer("She makes 9 * 2 = $18.\nThe answer is 18."))
    path = tmp_path / "responses.jsonl"
    path.write_text(f"{line}\n" * 100_000)
    assert main(["grade", str(path), "--grader", "numeric-1"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "n 100000  right 100000\n"
    assert shown.out.count("\n") == 100_000


def test_several_graders_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(
        tmp_path, answer("The answer is $18.00."), answer("#### 18"), answer("who knows", cut=True)
    )
    assert (
        main(
            [
                "grade",
                str(path),
                "--grader",
                "flexible",
                "--grader",
                "numeric-1",
                "--grader",
                "flexible",
            ]
        )
        == 0
    )
    shown = capsys.readouterr()
    assert [json.loads(line) for line in shown.out.splitlines()] == [
        {
            "lm-eval-flexible-3": {"outcome": "wrong", "extracted": "$18.00."},
            "numeric-1": {"outcome": "right", "extracted": "18"},
        },
        {
            "lm-eval-flexible-3": {"outcome": "right", "extracted": "18"},
            "numeric-1": {"outcome": "right", "extracted": "18"},
        },
        {
            "lm-eval-flexible-3": {"outcome": "truncated", "extracted": ""},
            "numeric-1": {"outcome": "truncated", "extracted": ""},
        },
    ]
    assert shown.err.splitlines() == [
        "lm-eval-flexible-3: n 3  right 1  wrong 1  truncated 1",
        "numeric-1: n 3  right 2  truncated 1",
    ]


def test_all_graders_and_their_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, answer("The answer is $18.00."), answer("#### 18"))
    assert main(["grade", str(path), "--grader", "all", "--json"]) == 0
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert counts["n"] == 2
    assert {name: (c["n"], c["right"], c["no_answer"]) for name, c in counts["graders"].items()} == {
        "numeric-1": (2, 2, 0), "numeric-2": (2, 2, 0), "lm-eval-strict-3": (2, 1, 1), "lm-eval-flexible-3": (2, 1, 0),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["numeric", "strict", "flexible"])
def test_short_names_are_one_grader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["grade", str(write(tmp_path, answer())), "--grader", name]) == 0
    assert capsys.readouterr().out == '{"outcome": "right", "extracted": "18"}\n'


def test_an_unknown_grader_among_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            ["grade", str(write(tmp_path, answer())), "--grader", "strict", "--grader", "llm-judge"]
        )
        == 2
    )
    assert capsys.readouterr().out == ""


def test_graders_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graders", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == {grader: grading.digest(grader) for grader in grading.ids()}
    assert main(["graders"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(listed)
