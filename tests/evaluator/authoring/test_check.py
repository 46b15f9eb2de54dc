"""What stops a set from being sealed (T001 to T003), what only warns, and that findings never quote a text."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from evaluator.authoring.check import LONGEST, check, read_lines
from evaluator.errors import Code, EvaluatorError
from evaluator.items import load_items, parse_items
from tests.evaluator.authoring.problems import item, jsonl, mixed

PUBLIC = mixed(60)
NEW = jsonl(mixed(45, start=1000)).splitlines()


def line(question: object = "How many?", answer: object = "#### 7") -> bytes:
    return json.dumps({"question": question, "answer": answer}).encode()


def found(lines: Sequence[bytes]) -> dict[str, tuple[int, ...]]:
    return {one.code: one.lines for one in check(lines, PUBLIC).errors}


def test_a_good_set_passes() -> None:
    report = check(NEW, PUBLIC)
    assert (report.n, report.errors, report.warnings) == (45, (), ())
    assert [one.name for one in report.comparisons] == ["steps", "magnitude", "length"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"{", "set_bad_json"),
        (b"[]", "set_bad_json"),
        (b"\xff", "set_bad_json"),
        (b'{"question": "half \\ud83d", "answer": "#### 7"}', "set_bad_json"),
        (line(answer=None), "set_missing_field"),
        (line(question=" "), "set_missing_field"),
        (line(answer=""), "set_missing_field"),
        (line(answer="seven"), "set_gold_not_numeric"),
        (line(answer="#### 3:30"), "set_gold_not_numeric"),
        (line(answer="#### 1 #### 2"), "set_gold_not_numeric"),
        (line(answer="#### 1,23"), "set_gold_not_numeric"),
        (line("a\0b"), "a control character"),
        (line(answer="a\x1b[2J #### 7"), "a control character"),
        (line("a\x9bb"), "a control character"),
        (line("a \u202e b"), "a character that turns the direction of text"),
        (line("a \u2066 b"), "a character that turns the direction of text"),
        (line("a \u061c b"), "a character that turns the direction of text"),
        (line("x" * 1_000_000), f"more than {LONGEST} characters"),
        (line(answer="x" * (LONGEST + 1) + "#### 7"), f"more than {LONGEST} characters"),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_bad_items_are_errors_with_their_lines(bad: bytes, code: str) -> None:
    assert found([*NEW[:3], bad, *NEW[3:6]]) == {code: (4,)}


def test_all_problems_are_reported_at_once() -> None:
    lines = [b"{", NEW[0], b"", line(answer="x"), line("a\0"), NEW[0], b"]"]
    assert found(lines) == {
        "set_bad_json": (1, 7),
        "set_gold_not_numeric": (4,),
        "a control character": (5,),
        "the question of an earlier line": (6,),
    }


@pytest.mark.parametrize(
    "text", ["Tab\tand\nline", "<b>bold</b> & more", "naïve ½ 🙂", "1.5 apples"]
)
def test_what_is_no_error(text: str) -> None:
    assert found([line(text)]) == {}


@pytest.mark.parametrize(
    "again",
    [
        "Café at noon, how many?",
        " Cafe\u0301  at\nnoon, how many? ",
        "CAFÉ AT NOON, HOW MANY?",
        "Ca\u200bfé at noon, how many?",
    ],
)
def test_the_same_question_written_in_another_way_is_a_duplicate(again: str) -> None:
    assert found([line("Café at noon, how many?"), *NEW[:2], line(again)]) == {
        "the question of an earlier line": (4,)
    }


def with_run(words: int) -> bytes:
    """A new problem that shares so many words in a row with the public problem 7."""
    shared = PUBLIC[6].question.split()[:words]
    return line(f"Zoe says {' 5, '.join(shared).upper()} zig zag zoo", "#### 12")


def test_thirteen_words_in_a_row_stop_and_eight_warn() -> None:
    report = check([*NEW, with_run(13), with_run(12), with_run(8), with_run(7)], PUBLIC)
    (error,) = report.errors
    assert (error.code, error.lines, error.public) == (
        "shares 13 words in a row with a public item",
        (46,),
        (7,),
    )
    (warning,) = report.warnings
    assert (warning.code, warning.lines, warning.public) == (
        "shares 8 words in a row with a public item",
        (47, 48),
        (7, 7),
    )


def test_a_public_item_with_other_numbers_is_found() -> None:
    copied = PUBLIC[6].question.replace("6 more", "99 more")
    assert found([*NEW, line(copied)]) == {"shares 13 words in a row with a public item": (46,)}


def test_another_mix_is_a_warning() -> None:
    report = check(jsonl([item(1000 + k, steps=6) for k in range(50)]).splitlines(), PUBLIC)
    assert report.errors == ()
    assert next(one.code for one in report.warnings if "unlike" in one.code).startswith(
        "steps are unlike"
    )


@pytest.mark.parametrize("lines", [[], [b""], [b" ", b"\t"]])
def test_an_empty_set_is_an_error(lines: list[bytes]) -> None:
    report = check(lines, PUBLIC)
    assert ([one.code for one in report.errors], report.comparisons) == (["set_empty"], ())


def test_without_a_public_set_only_the_set_itself_is_checked() -> None:
    report = check([*NEW, line("a\0b")], ())
    assert ([one.code for one in report.errors], report.comparisons) == (
        ["a control character"],
        (),
    )


def test_no_finding_quotes_a_text() -> None:
    secret = "violet kayak"
    lines = [
        line(f"{secret} \0"),
        line(f"{secret} \0"),
        line(secret, secret),
        (secret + "{").encode(),
    ]
    report = check(lines, [item(1), *parse_items(lines[:1])])
    assert len(report.errors) >= 4
    assert "violet" not in " ".join(map(str, (*report.errors, *report.warnings)))


def test_lines_are_cut_where_sealing_cuts_them(tmp_path: Path) -> None:
    """A carriage return between two fields is JSON's space, and no end of a line."""
    path = tmp_path / "items.jsonl"
    path.write_bytes(line("one") + b"\r\n" + line("two").replace(b", ", b",\r") + b"\n")
    assert check(read_lines(path), ()).n == len(load_items(path)) == 2
    with pytest.raises(EvaluatorError) as caught:
        read_lines(tmp_path / "none")
    assert caught.value.code is Code.SET_UNREADABLE


@pytest.mark.data
def test_gsm8k_against_itself(data_dir: Path) -> None:
    """Train against test is all but clean; a copied item among 500 is found with its line and the public one's."""
    train = read_lines(data_dir / "gsm8k" / "train.jsonl")[:500]
    public = load_items(data_dir / "gsm8k" / "test.jsonl")
    report = check(train, public)
    assert not any(one.code.startswith("set_") or "earlier" in one.code for one in report.errors)
    assert not any("unlike" in one.code for one in report.warnings)
    copied = public[99].question.replace("1", "3")
    near = [one for one in check([*train, line(copied)], public).errors if 501 in one.lines]
    assert [one.public[one.lines.index(501)] for one in near] == [100]
