"""Kinds of items: each is read strictly, and number items are what they were."""

import json
from typing import Any

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.items import KINDS, gold_of, item_record, parse_items, set_digest

SECRET = "seventeen violet kayaks"
BODY = "    return x + 1\n"
EXAMPLES: dict[str, dict[str, Any]] = {
    "number": {"question": "How many?", "answer": "#### 3"},
    "expression": {"kind": "expression", "question": "Solve.", "answer": "so\n#### \\frac{1}{2}"},
    "choice": {"kind": "choice", "question": "Which?", "choices": ["up", "down"], "answer": "B"},
    "program": {"kind": "program", "question": "Sum?", "answer": "[1, 2.5]", "entry": "solve"},
    "tests": {
        "kind": "tests",
        "question": 'def f(x):\n    """Add one."""\n',
        "answer": BODY,
        "entry": "f",
        "tests": "assert f(1) == 2",
        "prelude": "import math",
    },
}
GOLDS = {
    "number": "3",
    "expression": "\\frac{1}{2}",
    "choice": "B",
    "program": "[1, 2.5]",
    "tests": "",
}


def line(example: str, **changes: object) -> bytes:
    record = {**EXAMPLES[example], **changes}
    return json.dumps({name: value for name, value in record.items() if value is not None}).encode()


def refusal(*lines: bytes) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as caught:
        parse_items(lines)
    assert SECRET not in str(caught.value) + repr(caught.value)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read_and_recorded_whole(kind: str) -> None:
    [item] = parse_items([line(kind)])
    assert (item.kind, item.gold) == (kind, GOLDS[kind])
    assert item_record(item) == EXAMPLES[kind]
    assert parse_items([json.dumps(item_record(item)).encode()]) == (item,)


@pytest.mark.parametrize("kind", KINDS)
def test_the_digest_covers_every_field(kind: str) -> None:
    before = set_digest(parse_items([line(kind)]))
    for name, value in EXAMPLES[kind].items():
        if name != "kind":
            changed = ["up", "left"] if name == "choices" else f"{value} "
            changed = {"answer": f" {value}", "entry": "other"}.get(name, changed)
            assert set_digest(parse_items([line(kind, **{name: changed})])) != before


def test_a_number_says_its_kind_or_not() -> None:
    plain, said = parse_items([line("number")]), parse_items([line("number", kind="number")])
    assert plain == said
    assert set_digest(plain) == set_digest(said)


def test_a_set_that_mixes_kinds_is_refused() -> None:
    problem = refusal(line("number", question=SECRET), b"", line("choice"))
    assert (problem.code, problem.detail) == (
        Code.SET_MIXED_KINDS,
        "line 3: choice after number",
    )


@pytest.mark.parametrize("kind", ["essay", "", None, 3, ["tests"], "Tests"])
def test_an_unknown_kind_is_refused(kind: object) -> None:
    bad = json.dumps({"question": SECRET, "answer": "1", "kind": kind}).encode()
    assert refusal(bad).code is Code.SET_UNKNOWN_KIND


@pytest.mark.parametrize(
    ("kind", "field"),
    [("choice", "choices"), ("tests", "tests"), ("tests", "entry"), ("tests", "answer")],
)
@pytest.mark.parametrize("value", [None, "", " ", 3, {}])
def test_a_field_that_the_kind_needs(kind: str, field: str, value: object) -> None:
    problem = refusal(line(kind), line(kind, question=SECRET, **{field: value}))
    assert (problem.code, problem.detail) == (Code.SET_MISSING_FIELD, "line 2")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("choice", "choices", ["up"]),
        ("choice", "choices", []),
        ("choice", "choices", ["up", "up "]),
        ("choice", "choices", ["up", 3]),
        ("choice", "choices", ["up", ""]),
        ("choice", "choices", [f"{n} of them" for n in range(27)]),
        ("tests", "entry", "not a name"),
        ("tests", "entry", "def"),
        ("tests", "entry", "a.b"),
        ("tests", "choices", ["up", "down"]),
        ("choice", "tests", "assert True"),
        ("expression", "entry", "f"),
        ("program", "prelude", "import math"),
    ],
)
def test_a_field_that_does_not_fit(kind: str, field: str, value: object) -> None:
    problem = refusal(line(kind, question=SECRET, **{field: value}))
    assert problem.code is Code.SET_BAD_FIELD
    assert problem.detail.startswith("line 1: ")
    assert field in problem.detail


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("choice", "C"),
        ("choice", "b"),
        ("choice", "AB"),
        ("choice", "#### A\n#### B"),
        ("expression", "#### 1\n#### 2"),
        ("expression", "so ####  "),
        ("expression", "\\boxed{1"),
        ("expression", "x" * 1001),
        ("program", "print(3)"),
        ("program", "1 +"),
        ("program", "[" * 5000),
        ("program", "x"),
    ],
)
def test_a_gold_answer_that_no_grader_reads(kind: str, answer: str) -> None:
    problem = refusal(line(kind), line(kind, question=SECRET, answer=answer))
    assert (problem.code, problem.detail) == (Code.SET_GOLD_UNREADABLE, f"line 2: {kind}")


def test_the_gold_expression_is_what_is_boxed_last() -> None:
    assert gold_of(r"First \boxed{1}, so \boxed{\frac{1}{2}}.", "expression") == r"\frac{1}{2}"
    assert gold_of("x^2 + 1", "expression") == "x^2 + 1"


def test_half_a_surrogate_pair_is_refused_in_every_field() -> None:
    for kind, field in (("choice", "choices"), ("tests", "tests"), ("tests", "prelude")):
        value: Any = ["up", "\ud800"] if field == "choices" else "x = '\ud800'"
        assert refusal(line(kind, **{field: value})).code is Code.SET_BAD_JSON


def test_the_same_question_with_other_choices_is_another_one() -> None:
    assert len(parse_items([line("choice"), line("choice", choices=["left", "right"])])) == 2
    assert refusal(line("choice"), line("choice", answer="A")).code is Code.SET_DUPLICATE_QUESTION


def test_a_reference_solution_is_whole_or_continues_the_question() -> None:
    question = EXAMPLES["tests"]["question"]
    [body] = parse_items([line("tests")])
    [whole] = parse_items([line("tests", answer="def f(x):\n    return x + 1\n")])
    [helper] = parse_items([line("tests", answer="    return g(x)\n\ndef g(x):\n    return 1\n")])
    assert body.reference() == question + BODY
    assert whole.reference() == whole.answer
    assert helper.reference() == question + helper.answer


def test_a_letter_that_needs_no_escape_is_no_warning() -> None:
    escaped = "def f(x):\n    return x + len('\\w') - 1\n"  # a warning would quote it
    [item] = parse_items([line("tests", answer=escaped)])
    assert item.reference() == escaped
    assert gold_of("'\\w'", "program") == "'\\w'"
