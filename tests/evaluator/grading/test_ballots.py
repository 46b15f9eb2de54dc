"""From several graded answers to one outcome, and to aggregates over a set."""

from fractions import Fraction

import pytest

from evaluator.contract import Outcome
from evaluator.grading.ballots import Vote, decide, summary
from evaluator.grading.voting import calibration, merged

RIGHT, WRONG = Vote("18", Outcome.RIGHT), Vote("17", Outcome.WRONG)
NOTHING, CUT = Vote("", Outcome.NO_ANSWER), Vote("", Outcome.TRUNCATED)


@pytest.mark.parametrize(
    ("said", "won"),
    [
        ([RIGHT, WRONG, RIGHT], RIGHT),
        ([WRONG, RIGHT], WRONG),
        ([NOTHING, NOTHING, RIGHT], RIGHT),
        ([NOTHING, CUT, CUT], CUT),
        ([NOTHING, CUT], NOTHING),
        ([RIGHT], RIGHT),
    ],
)
def test_the_majority_decides(said: list[Vote], won: Vote) -> None:
    assert decide(said) == won


def test_no_answer_shows_in_a_representation() -> None:
    assert repr(RIGHT) == "Vote(right)"


def test_a_summary_by_hand() -> None:
    found = summary("open", [[RIGHT, RIGHT, RIGHT, WRONG], [WRONG, WRONG, WRONG, WRONG]], least=1)
    assert found is not None
    assert (found.n, found.samples, found.right) == (2, 4, 3)
    assert found.majority == ((1, 0.375), (2, 0.375), (4, 0.5))
    assert [(one.low, one.high, one.n, one.share, one.right) for one in found.bins] == [
        (0, 8, 1, 0.75, 1),
        (8, 10, 1, 1.0, 0),
    ]
    assert (found.error, found.brier) == (0.625, 0.53125)


def test_no_bin_is_smaller_than_the_least_and_none_is_lost() -> None:
    items = [[RIGHT] * right + [WRONG] * (10 - right) for right in range(11) for _ in range(20)]
    found = summary("closed", items, least=100)
    assert found is not None
    assert all(one.n >= 100 for one in found.bins)
    assert sum(one.n for one in found.bins) == len(items)
    assert found.bins[0].low == 0
    assert found.bins[-1].high == 10
    assert [one.low for one in found.bins[1:]] == [one.high for one in found.bins[:-1]]


def test_of_fewer_items_than_a_cell_may_have_there_is_no_summary() -> None:
    assert summary("closed", [[RIGHT, RIGHT]] * 99, least=100) is None
    assert summary("closed", [[RIGHT, RIGHT]] * 100, least=100) is not None
    assert summary("closed", [], least=100) is None


def test_merged_bins_hold_the_same_votes() -> None:
    votes = [(Fraction(share, 10), share > 5) for share in range(1, 11) for _ in range(share)]
    bins = merged(calibration(votes).bins, least=12)
    assert sum(one.n for one in bins) == len(votes)
    assert sum(one.n * one.share for one in bins if one.share is not None) == sum(
        share for share, _ in votes
    )
    assert sum(one.n * one.right for one in bins if one.right is not None) == sum(
        right for _, right in votes
    )
