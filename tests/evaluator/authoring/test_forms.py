"""Published forms of data sets become items; real HumanEval and MBPP lose nothing on the way."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from evaluator.authoring.forms import read_form
from evaluator.cli import main
from evaluator.errors import Code, EvaluatorError
from evaluator.items import load_items
from evaluator.sandbox import cells
from evaluator.sandbox.execute import Sandbox
from evaluator.sandbox.jobs import Disposition, Execution, UnitTested
from evaluator.sandbox.limits import Limits

needs_jail = pytest.mark.skipif(bool(cells.missing()), reason="; ".join(cells.missing()))
HUMANEVAL = {
    "prompt": 'import math\ndef half(x):\n    """Halve it."""\n',
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "test": "def check(candidate):\n    assert candidate(4) == 2\n",
}
MBPP = {
    "text": "Write a function to halve a number.",
    "code": "def twice(x):\r\n  return 2 * x\r\ndef half(x):\r\n  return x / 2",
    "test_list": ["assert set([half(4)]) == {2}", "assert half(2) == 1"],
    "challenge_test_list": ["assert half(0) == 0"],
    "test_setup_code": "",
}
MATH = {"problem": "Halve 1.", "solution": "It is $\\boxed{\\frac{1}{2}}$."}


def test_each_form() -> None:
    [item] = read_form("humaneval", [json.dumps(HUMANEVAL).encode()])
    assert (item.kind, item.entry, item.prelude) == ("tests", "half", HUMANEVAL["prompt"])
    assert item.tests.endswith("\ncheck(half)\n")
    [item] = read_form("mbpp", [b"", json.dumps(MBPP).encode()])
    assert (item.entry, item.tests.count("assert"), item.question.count("assert")) == ("half", 3, 2)
    [item] = read_form("math", [json.dumps(MATH).encode()])
    assert (item.kind, item.gold) == ("expression", "\\frac{1}{2}")
    [item] = read_form("math", [json.dumps(MATH | {"answer": "0.5"}).encode()])
    assert item.gold == "0.5"


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("humaneval", MBPP),
        ("mbpp", HUMANEVAL),
        ("mbpp", MBPP | {"test_list": ["assert other(1) == 2"], "challenge_test_list": []}),
        ("mbpp", MBPP | {"code": "def ("}),
        ("math", {"problem": "Halve 1."}),
    ],
)
def test_another_form_is_refused_by_its_line(form: str, record: dict[str, object]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        read_form(form, [b"", json.dumps(record).encode()])
    assert caught.value.code is Code.SET_MISSING_FIELD
    assert caught.value.detail.startswith("line 2")


@pytest.mark.parametrize("line", [b"{", b"[]", b"[" * 100_000])
def test_a_line_that_is_no_row(line: bytes) -> None:
    with pytest.raises(EvaluatorError) as caught:
        read_form("mbpp", [json.dumps(MBPP).encode(), line])
    assert (caught.value.code, caught.value.detail) == (Code.SET_BAD_JSON, "line 2")


def test_a_value_that_does_not_fit_its_field() -> None:
    bad = json.dumps(HUMANEVAL | {"entry_point": "not a name"}).encode()
    with pytest.raises(EvaluatorError) as caught:
        read_form("humaneval", [bad])
    assert caught.value.detail == "line 1: entry is not the name of a function"
    with pytest.raises(EvaluatorError) as caught:
        read_form("humaneval", [b" "])
    assert caught.value.code is Code.SET_EMPTY


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "humaneval.jsonl", tmp_path / "items.jsonl"
    source.write_text(json.dumps(HUMANEVAL))
    assert (
        main(["import-set", str(source), "--form", "humaneval", "--out", str(out), "--json"]) == 0
    )
    facts = json.loads(capsys.readouterr().out)
    assert (facts["n"], facts["kind"]) == (1, "tests")
    [item] = load_items(out)
    assert item.entry == "half"
    assert out.stat().st_mode & 0o777 == 0o600


def references(form: str, lines: list[bytes]) -> Iterator[Execution]:
    jobs = [
        UnitTested(item.reference(), item.tests, item.entry, item.prelude)
        for item in read_form(form, lines)
    ]
    with Sandbox(Limits.of_computing(20)) as sandbox:
        yield from sandbox.run(jobs)


@needs_jail
@pytest.mark.data
def test_every_reference_of_humaneval_passes(data_dir: Path) -> None:
    lines = (data_dir / "code" / "humaneval" / "HumanEval.jsonl").read_bytes().splitlines()
    ends = [done.disposition for done in references("humaneval", lines)]
    assert ends == [Disposition.PASSED] * 164


@pytest.mark.slow
@needs_jail
@pytest.mark.data
def test_every_reference_of_mbpp_passes(data_dir: Path) -> None:
    with gzip.open(data_dir / "code" / "mbpp" / "mbpp.jsonl.gz") as file:
        lines = file.read().splitlines()
    ends = [done.disposition for done in references("mbpp", lines)]
    assert ends == [Disposition.PASSED] * 974


@pytest.mark.data
def test_every_item_of_math_500_has_a_gold_expression(data_dir: Path) -> None:
    [source] = (data_dir / "sets" / "math500").glob("*.jsonl")
    items = read_form("math", source.read_bytes().splitlines())
    assert len(items) == 500
    assert all(item.gold for item in items)
