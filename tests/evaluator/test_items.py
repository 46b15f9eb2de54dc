"""Sets: read strictly, refused with a code and a line, never quoted."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from evaluator.errors import Code, EvaluatorError
from evaluator.items import Item, gold_of, item_record, load_items, parse_items, set_digest

SECRET = "seventeen violet kayaks"


def line(question: object = "How many?", answer: object = "#### 3", **more: object) -> bytes:
    return json.dumps({"question": question, "answer": answer, **more}).encode()


def refusal(*lines: bytes) -> EvaluatorError:
    with pytest.raises(EvaluatorError) as caught:
        parse_items(lines)
    assert SECRET not in str(caught.value) + repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("He has 2.\n#### 70,000", "70000"),
        ("#### -10", "-10"),
        ("#### \u221210", "-10"),
        ("18", "18"),
        ("####18", "18"),
        (" 3.50 ", "3.50"),
        ("1,234.5", "1234.5"),
        ("1" * 40, "1" * 40),
    ],
)
def test_gold(answer: str, gold: str) -> None:
    assert gold_of(answer) == gold
    assert Decimal(gold_of(answer)).is_finite()


@pytest.mark.parametrize(
    "answer",
    [
        "eighteen", "#### ", "#### 3 or 4", "#### 3\n#### 4", "3:30", "12,34", "1,23,456", "1_000", "0x12", "1e5", "inf",
        "nan", "3/2", "$18", "18%", "#### 18 eggs", "18.", ".5", "--3", "१८", "１８", "1" * 41, "1" * 5000, "1\u200b8", "- 3",
    ],
)  # fmt: skip
def test_gold_in_any_other_form_is_refused(answer: str) -> None:
    problem = refusal(line("a"), line(SECRET, answer))
    number, _, kind = problem.detail.partition(": ")
    assert (problem.code, number) == (Code.SET_GOLD_NOT_NUMERIC, "line 2")
    assert ("fraction" in kind, "currency" in kind, "percent" in kind) == tuple(
        mark in answer for mark in "/$%"
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"{", b"[]", b"null", b"3", b'"text"', b"\xff\xfe{}", b'{"question": "a", "answer": "1"} x', b"[" * 100_000,
        b'{"question": "\\ud800", "answer": "1"}', b'{"question": "a", "answer": "\\udfff#### 1"}',
        b'{"question": ' + b"1" * 5000 + b"}",
    ],
)  # fmt: skip
def test_a_line_that_is_not_an_object_is_refused(bad: bytes) -> None:
    problem = refusal(line(SECRET), bad)
    assert (problem.code, problem.detail) == (Code.SET_BAD_JSON, "line 2")


@pytest.mark.parametrize(
    "bad",
    [
        {}, {"question": "a"}, {"answer": "1"}, {"question": "", "answer": "1"}, {"question": " \n", "answer": "1"},
        {"question": "a", "answer": ""}, {"question": "a", "answer": 1}, {"question": None, "answer": "1"},
        {"question": ["a"], "answer": "1"}, {"Question": "a", "answer": "1"},
    ],
)  # fmt: skip
def test_a_missing_field_is_refused(bad: dict[str, object]) -> None:
    problem = refusal(line(SECRET), b"", json.dumps(bad).encode())
    assert (problem.code, problem.detail) == (Code.SET_MISSING_FIELD, "line 3")


@pytest.mark.parametrize(
    "twin",
    [SECRET, f" {SECRET}\n", SECRET.replace(" ", "  "), SECRET.replace(" ", "\u00a0")],
    ids=range(4),
)
def test_a_question_asked_twice_is_refused(twin: str) -> None:
    problem = refusal(line(SECRET, "1"), line("another"), line(twin, "2"))
    assert (problem.code, problem.detail) == (Code.SET_DUPLICATE_QUESTION, "lines 1 and 3")


def test_letters_composed_differently_are_the_same_question() -> None:
    assert refusal(line("caf\u00e9"), line("cafe\u0301")).code is Code.SET_DUPLICATE_QUESTION


@pytest.mark.parametrize("lines", [[], [b"\n", b"  "]])
def test_no_items(lines: list[bytes]) -> None:
    assert refusal(*lines).code is Code.SET_EMPTY


def test_blank_lines_carriage_returns_a_byte_order_mark_and_more_fields_are_no_harm() -> None:
    plain = parse_items([line("a", "1"), line("b", "2")])
    assert (
        parse_items([b"\xef\xbb\xbf" + line("a", "1", id=7) + b"\r\n", b"\n", line("b", "2")])
        == plain
    )


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(EvaluatorError) as caught:
        load_items(tmp_path / name)
    assert caught.value.code is Code.SET_UNREADABLE


def test_items_do_not_show_their_text() -> None:
    item = Item(question=SECRET, answer="#### 17", gold="17")
    shown = f"{item} {item!r} {[item]} { {'a': item} }"
    assert SECRET not in shown
    assert "17" not in shown


def test_record_and_digest() -> None:
    items = parse_items([line("a", "x #### 1", note="no"), line("ü", "2")])
    assert item_record(items[0]) == {"question": "a", "answer": "x #### 1"}
    # sha256 of '[{"answer":"x #### 1","question":"a"},{"answer":"2","question":"ü"}]' by sha256sum
    assert set_digest(items) == "83b2076a84aad93b7efece4107cecdc2e9b3281461f25800b0e0986c11844b0d"
    assert set_digest(items[::-1]) != set_digest(items)


@pytest.mark.data
def test_gsm8k(data_dir: Path) -> None:
    test, train = (
        load_items(data_dir / "gsm8k" / "test.jsonl"),
        load_items(data_dir / "gsm8k" / "train.jsonl"),
    )
    assert (len(test), len(train)) == (1319, 7473)
    assert {item.gold for item in test if item.gold.startswith("-")} == {"-10", "-3"}
    assert sum("," in item.answer.rpartition("####")[2] for item in test) == 14
    assert all(item.gold.lstrip("-").isdigit() for item in test)
