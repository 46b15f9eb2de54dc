"""Word problems that were rewritten are found by their numbers and words; others are not."""

import pytest

from evaluator.authoring.likeness import (
    LikenessIndex,
    number_of,
    numbered,
    passages,
    stem_of,
    tokens,
)

HENS = (
    "Mara's 16 hens lay an egg a day. She eats three eggs each morning and bakes with four. She sells"
    " the rest at the market for $2 an egg. How many dollars does she earn a day?"
)
REWRITTEN = (
    "Each of the 16 chickens on Mara's farm lays one egg daily. Three are eaten for breakfast, four go"
    " into a cake, and all remaining eggs are sold for $2 at the market. What are her earnings?"
)
OTHER = "Tom buys 16 pencils in three shops, four of them red, for $2 each. How much did he spend?"
BOLTS = "A robe takes 2 bolts of blue fibre and half that much white fibre. How many bolts?"
INDEX = LikenessIndex([HENS, BOLTS])


@pytest.mark.parametrize(
    ("token", "number"),
    [
        ("1,234", "1234"),
        ("2.50", "2.5"),
        ("0012", "12"),
        ("seven", "7"),
        ("twice", "2"),
        ("half", "1/2"),
        ("ninety", "90"),
        ("hundred", "100"),
        ("apples", None),
        ("9" * 400, "9" * 400),
    ],
)
def test_numbers(token: str, number: str | None) -> None:
    assert number_of(token) == number


def test_function_words_and_numbers_have_no_stem() -> None:
    assert [stem_of(word) for word in ("the", "seven", "12", "x")] == [None] * 4
    assert stem_of("apples") == stem_of("apple") is not None


def test_a_repeated_number_counts_twice() -> None:
    assert numbered(tokens("2 apples and two pears")) == {("2", 0), ("2", 1)}


def test_a_rewritten_question_is_found() -> None:
    [alike] = INDEX.find(tokens(REWRITTEN))
    assert alike.item == 0
    assert alike.numbers >= 0.75
    assert alike.words >= 0.25


def test_equal_numbers_alone_and_equal_words_alone_are_not_enough() -> None:
    assert INDEX.find(tokens(OTHER)) == []
    assert (
        INDEX.find(tokens(HENS.replace("16", "25").replace("three", "9").replace("$2", "$7"))) == []
    )


def test_half_of_the_numbers_are_not_enough() -> None:
    fewer = HENS.replace("bakes with four", "bakes").replace("$2", "the same")
    assert INDEX.find(tokens(fewer)) == []


def test_a_question_with_one_number_is_not_compared() -> None:
    question = "Mara has 7 hens. How many hens does Mara have?"
    assert LikenessIndex([question]).find(tokens(question)) == []


def test_a_solution_behind_the_question_does_not_hide_it() -> None:
    text = f"Question: {REWRITTEN}\nAnswer: 3 + 4 = 7, 16 - 7 = 9, and 9 * 2 = 18.\n#### 18"
    found = {alike.item for part in passages(text, tokens(text)) for alike in INDEX.find(part)}
    assert found == {0}
    assert INDEX.find(tokens(text)) == []


def test_a_question_within_a_long_text_is_found() -> None:
    filler = " ".join(f"word{chr(97 + k % 26)} and more" for k in range(400))
    text = f"{filler} {REWRITTEN} {filler}"
    found = {alike.item for part in passages(text, tokens(text)) for alike in INDEX.find(part)}
    assert found == {0}
