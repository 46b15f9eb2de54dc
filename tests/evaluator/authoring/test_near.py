"""Near-duplicates: what counts as a word, and runs of words that two texts share."""

import pytest

from evaluator.authoring.near import Overlap, grams, pairs, words

TEXT = "Mara carries nine crates of pears up the hill to the mill before noon and then rests there"
"""Eighteen words."""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Tom has 3 apples, and 1,234.5 pears!", ["tom", "has", "apples", "and", "pears"]),
        ("Tom's  apples—and\npears_", ["tom", "s", "apples", "and", "pears"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("ﬁve ｆｉｖｅ", ["five", "five"]),
        ("ap\u200bples ap\u00adples \u202eapples\u202c ap\ufeffples", ["apples"] * 4),
        ("café cafe\u0301", ["café", "café"]),
        ("3 + 4 = 7", []),
        ("", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_grams_are_every_run_of_words() -> None:
    assert list(grams("one two three", 2)) == [("one", "two"), ("two", "three")]
    assert list(grams("one two", 3)) == [("one", "two")]
    assert list(grams("12 + 3", 3)) == []


@pytest.mark.parametrize("n", [8, 13])
def test_a_run_of_n_words_is_found_and_one_of_fewer_is_not(n: int) -> None:
    known = TEXT.split()
    for start in range(len(known) - n + 1):
        run = known[start : start + n]
        assert Overlap([TEXT], n).find(f"Once upon a time 7 {', '.join(run).upper()} 12!") == 1
        assert Overlap([TEXT], n).find("Once upon a time " + " ".join(run[:-1])) is None


def test_other_numbers_do_not_make_another_problem() -> None:
    assert pairs(
        ["Tom has 3 apples and gets 5 more."], ["Tom has 9 apples and gets 77 more."], 13
    ) == [(1, 1)]


def test_pairs_name_the_first_public_item_once() -> None:
    public = ["nothing of the kind", TEXT, TEXT]
    assert pairs(["something else", TEXT + " again", TEXT], public, 13) == [(2, 2), (3, 2)]
    assert pairs([TEXT], [], 8) == pairs([], [TEXT], 8) == []
