"""The check before sealing knows every kind, and names lines and codes only."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluator.authoring.check import CheckReport, check
from evaluator.cli import main
from evaluator.items import parse_items
from evaluator.sandbox import cells

needs_jail = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
SECRET = "seventeen violet kayaks"
TESTED = {
    "kind": "tests",
    "question": f'def even(numbers):\n    """Add the even numbers of {SECRET}."""\n',
    "answer": "    total = 0\n    for one in numbers:\n        if one % 2 == 0:\n            total += one\n    return total\n",
    "entry": "even",
    "tests": "assert even([]) == 0\nassert even([1, 2, 4]) == 6\nassert even([3]) == 0\n",
}  # fmt: skip
OTHER = "def even(xs):\n    return sum(x for x in xs if not x & 1)\n"
CHOICE = {"kind": "choice", "question": "Which is it?", "choices": ["up", "down"], "answer": "B"}


def lines(*records: dict[str, Any]) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


def errors(report: CheckReport) -> list[str]:
    found = [str(problem) for problem in report.errors]
    assert SECRET not in " ".join([*found, *map(str, report.warnings)])
    return found


@needs_jail
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"answer": "    return 1\n"}, ["set_reference_fails: line 2"]),
        ({"answer": "    return (\n"}, ["set_reference_fails (not an item): line 2"]),
        (
            {"tests": "even([1])"},
            ["set_tests_weak (a function that returns nothing passes the tests): line 2"],
        ),
        (
            {"tests": "assert even([]) is not None"},
            [
                "set_tests_weak (too many mutants of the reference solution get through its"
                " tests): line 2"
            ],
        ),
    ],
)
def test_tests_are_executed(changes: dict[str, str], expected: list[str]) -> None:
    other = TESTED | {"question": f"Add up {SECRET}.", "entry": "add"}
    other |= {"answer": "def add(x):\n    return x + 1", "tests": "assert add(1) == 2"}
    assert errors(check(lines(other, TESTED | changes), ())) == expected


def test_a_set_that_mixes_kinds() -> None:
    number = {"question": "How many?", "answer": "3"}
    assert errors(check(lines(CHOICE, number), ())) == ["set_mixed_kinds: line 2"]
    public = parse_items(lines(number, number | {"question": "How few?"}))
    assert errors(check(lines(CHOICE), public)) == ["set_mixed_kinds (the public set has another)"]


def test_a_gold_that_is_no_choice_and_control_characters_in_every_field() -> None:
    bad = CHOICE | {"answer": "C"}
    hidden = CHOICE | {"question": "Another?", "choices": ["up", "do\x07wn"]}
    assert errors(check(lines(bad, hidden), ())) == [
        "set_gold_unreadable (choice): line 1",
        "a control character: line 2",
    ]


def test_choices_are_compared_with_the_public_set() -> None:
    words = "one after the other all thirteen words of this sentence are found again here"
    public = parse_items(lines(CHOICE | {"choices": ["up", words]}, CHOICE))
    new = CHOICE | {"question": "Unlike it?", "choices": [words, "left"]}
    [problem] = check(lines(new), public).errors
    assert (problem.lines, problem.public) == ((1,), (1,))


@needs_jail
def test_a_solution_with_other_names_is_like_the_public_one() -> None:
    public = parse_items(lines(TESTED, TESTED | {"question": "Another.", "answer": OTHER}))
    renamed = {
        "kind": "tests",
        "question": "Write a function.",
        "answer": "def pick(xs):\n    s = 0\n    for x in xs:\n        if x % 2 == 0:\n            s += x\n    return s\n",
        "entry": "pick",
        "tests": TESTED["tests"].replace("even", "pick"),
    }  # fmt: skip
    report = check(lines(renamed), public)
    [problem] = [one for one in report.warnings if "solution" in one.code]
    assert (str(problem), problem.public) == ("has a solution like a public item's: line 1", (1,))
    other = [renamed | {"answer": OTHER.replace("even", "pick")}, renamed | {"question": "More."}]
    [problem] = [one for one in check(lines(*other), public[:1]).warnings if "solution" in one.code]
    assert problem.lines == (2,)


@needs_jail
def test_seal_refuses_what_check_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = tmp_path / "items.jsonl"
    items.write_bytes(b"\n".join(lines(TESTED | {"answer": "    return 1\n"})))
    main(["keygen", str(tmp_path / "keys"), "--name", "host-a"])
    arguments = ["--keys", str(tmp_path / "keys"), "--out", str(tmp_path / "set"), "--name", "twin"]
    capsys.readouterr()
    assert main(["seal", str(items), *arguments, "--json"]) == 2
    shown = capsys.readouterr()
    facts = json.loads(shown.out)
    assert (facts["error"], facts["detail"]) == ("check_failed", "set_reference_fails: line 1")
    assert SECRET not in shown.out + shown.err
    assert not (tmp_path / "set").exists()
