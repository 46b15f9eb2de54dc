"""The odd one out: every new item once among four public ones, and scoring that takes letters only."""

from collections import Counter

import pytest

from evaluator.authoring.oddone import CHOICES, make_pack, score
from evaluator.errors import Code, EvaluatorError
from tests.evaluator.authoring.problems import mixed

NEW, PUBLIC = mixed(50), mixed(30, start=1000)
KEY = {row.number: row.odd for row in make_pack(NEW, PUBLIC, seed=1)}


def test_each_row_hides_one_new_item_among_four_others() -> None:
    known = {one.question for one in PUBLIC}
    rows = make_pack(NEW, PUBLIC, seed=1)
    assert [row.number for row in rows] == list(range(1, 51))
    for row, item in zip(rows, NEW, strict=True):
        assert row.texts[CHOICES.index(row.odd)] == item.question
        assert len(set(row.texts)) == 5 and len(set(row.texts) & known) == 4
    assert set(Counter(row.odd for row in rows)) == set(CHOICES), "the place is drawn"


def test_the_draw_can_be_repeated_and_changed() -> None:
    assert (
        make_pack(NEW, PUBLIC, seed=1)
        == make_pack(NEW, PUBLIC, seed=1)
        != make_pack(NEW, PUBLIC, seed=2)
    )


@pytest.mark.parametrize(("new", "public"), [((), PUBLIC), (NEW, PUBLIC[:3])])
def test_too_few_items(new: tuple[object, ...], public: tuple[object, ...]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        make_pack(new, public, seed=1)  # type: ignore[arg-type]
    assert caught.value.code is Code.SET_EMPTY


def test_all_right_and_all_wrong() -> None:
    found = score(KEY, KEY)
    assert (found.right, found.n, found.share) == (50, 50, 1.0)
    assert found.interval[0] > 0.9 and found.p < 1e-30
    wrong = {number: CHOICES[(CHOICES.index(letter) + 1) % 5] for number, letter in KEY.items()}
    missed = score(wrong, KEY)
    assert (missed.right, missed.p) == (0, 1.0)


def test_guessing_is_not_finding() -> None:
    """GSM1k's own figure: 263 of 1,205 is near one in five, and its interval holds a fifth."""
    key = dict.fromkeys(range(1205), "A")
    found = score({number: "A" if number < 263 else "B" for number in key}, key)
    assert round(100 * found.share, 2) == 21.83
    assert found.interval[0] == pytest.approx(0.196, abs=0.001) and found.interval[
        1
    ] == pytest.approx(0.242, abs=0.001)
    assert found.interval[0] < 0.2 < found.interval[1]


@pytest.mark.parametrize("letter", ["", "a", "F", "AB", "ABCDE", "1", " A", "А"])
@pytest.mark.parametrize("side", ["answers", "key"])
def test_a_letter_that_is_none_is_refused(letter: str, side: str) -> None:
    sides = {"answers": KEY, "key": KEY}
    with pytest.raises(EvaluatorError) as caught:
        score(**(sides | {side: KEY | {7: letter}}))
    assert caught.value.code is Code.SHEET_UNREADABLE


@pytest.mark.parametrize("answers", [{}, {1: "A"}, KEY | {99: "A"}])
def test_rows_left_out_or_added_are_refused(answers: dict[int, str]) -> None:
    for pair in ((answers, KEY), (KEY, answers)):
        with pytest.raises(EvaluatorError) as caught:
            score(*pair)
        assert caught.value.code is Code.SHEET_UNREADABLE
