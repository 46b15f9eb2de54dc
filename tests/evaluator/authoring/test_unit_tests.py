"""Items that are answered by a program: what their tests let through is found, line by line."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evaluator.authoring import unit_tests
from evaluator.authoring.mutants import mutants
from evaluator.authoring.unit_tests import check_tests
from evaluator.cli import main
from evaluator.sandbox import cells
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.limits import Limits

needs_jail = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
GOOD = {
    "prompt": 'def even(numbers):\n    """The sum of the even numbers."""\n',
    "entry_point": "even",
    "canonical_solution": "    total = 0\n    for one in numbers:\n        if one % 2 == 0:\n            total += one\n    return total\n",
    "test": "def check(candidate):\n    assert candidate([]) == 0\n    assert candidate([1, 2, 4]) == 6\n    assert candidate([3]) == 0\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(seconds=10, cpu_seconds=2)) as sandbox:
        yield sandbox


def problem(sandbox: Sandbox, **changed: str) -> str:
    [finding] = check_tests([json.dumps(GOOD | changed).encode()], sandbox)
    return finding.problem


@needs_jail
def test_tests_that_tell_right_from_wrong(sandbox: Sandbox) -> None:
    [finding] = check_tests([b"", json.dumps(GOOD).encode()], sandbox)
    assert finding.problem == ""
    assert finding.line == 2
    assert (finding.killed, finding.mutants) == (8, 8)


@needs_jail
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"canonical_solution": "    return 1\n"}, unit_tests.REFERENCE_FAILS),
        ({"canonical_solution": "    import os; os._exit(0)\n"}, unit_tests.REFERENCE_FAILS),
        ({"test": "def check(candidate):\n    candidate([1])\n"}, unit_tests.STUB_PASSES),
        (
            {"test": "def check(candidate):\n    assert candidate([]) is not None\n"},
            unit_tests.MUTANT_PASSES,
        ),
        (
            {
                "canonical_solution": "    pass\n",
                "test": "def check(c):\n    assert c([]) is None\n",
            },
            unit_tests.STUB_PASSES,
        ),
        ({"canonical_solution": "    return (\n"}, unit_tests.UNREADABLE),
    ],
)
def test_what_prevents_sealing(changed: dict[str, str], expected: str, sandbox: Sandbox) -> None:
    assert problem(sandbox, **changed) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x < 1", ["x <= 1", "x < 2"]),
        ("x + y", ["x - y"]),
        ("x and y", ["x or y"]),
        ("x += True", ["x -= True", "x += False"]),
        ("def f(): return x", ["def f():\n    return None"]),
        ("if x: y", ["if not x:\n    y"]),
        ("x", []),
        ("x = '\\w' + y", ["x = '\\\\w' - y"]),
    ],
)
def test_mutants(source: str, expected: list[str]) -> None:
    assert sorted(mutants(source, 20)) == sorted(expected)


def test_mutants_are_spread_over_the_program() -> None:
    source = "\n".join(f"x = {n * 10}" for n in range(100))
    made = mutants(source, 10)
    assert len(made) == len(set(made)) == 10
    changed = [
        next(at for at, (a, b) in enumerate(zip(source.split("\n"), one.split("\n"), strict=True)) if a != b)
        for one in made
    ]  # fmt: skip
    assert max(changed) > 80
    for one in made:
        ast.parse(one)


@needs_jail
def test_the_command_names_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "items.jsonl"
    wrong: dict[str, Any] = GOOD | {"canonical_solution": "    return 'the hidden text'\n"}
    path.write_text("\n".join(json.dumps(one) for one in (GOOD, wrong, {"prompt": 1})))
    assert main(["check-tests", str(path), "--json"]) == 2
    shown = capsys.readouterr()
    facts = json.loads(shown.out)
    assert (facts["n"], facts["refused"], facts["error"]) == (3, [2, 3], "check_failed")
    assert "line 2: the reference solution fails its tests (failed)" in shown.err
    assert "hidden text" not in shown.out + shown.err
    path.write_text(json.dumps(GOOD))
    assert main(["check-tests", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["refused"] == []
