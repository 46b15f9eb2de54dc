"""Rank ranges against a plain quadratic count, and what must hold for any scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.evidence.statistics import Interval, Standing, standings, wilson

boards = st.lists(st.tuples(st.integers(0, 60), st.just(60)), max_size=25)


def plain(scores: list[float], intervals: list[Interval]) -> list[Standing]:
    return [
        Standing(
            1 + sum(other > mine for other in scores),
            1 + sum(other.low > own.high for other in intervals),
            len(scores) - sum(other.high < own.low for other in intervals),
        )
        for mine, own in zip(scores, intervals, strict=True)
    ]


@given(boards)
def test_standings_are_the_plain_counts(board: list[tuple[int, int]]) -> None:
    scores, intervals = [k / n for k, n in board], [wilson(k, n, 0.95) for k, n in board]
    assert standings(scores, intervals) == plain(scores, intervals)


@given(boards)
def test_a_rank_lies_in_its_range_and_the_ranges_in_the_board(board: list[tuple[int, int]]) -> None:
    found = standings([k / n for k, n in board], [wilson(k, n, 0.95) for k, n in board])
    assert all(1 <= one.best <= one.rank <= one.worst <= len(board) for one in found)
    assert not found or min(one.rank for one in found) == 1


def test_equal_scores_share_a_rank_and_the_next_one_is_skipped() -> None:
    intervals = [Interval(score - 0.01, score + 0.01) for score in (0.9, 0.5, 0.9, 0.1)]
    found = standings([0.9, 0.5, 0.9, 0.1], intervals)
    assert found == [Standing(1, 1, 2), Standing(3, 3, 3), Standing(1, 1, 2), Standing(4, 4, 4)]


def test_an_empty_board_has_no_standings() -> None:
    assert standings([], []) == []


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="interval"):
        standings([0.5], [])
