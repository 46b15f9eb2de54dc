"""Scores of self-declared endpoints are published in steps, and a new one only beyond its noise."""

from collections.abc import Iterable
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.submissions.ladder import (
    ExactScore,
    PublishedScore,
    noise_of,
    published_scores,
    step_of,
)

OWN = frozenset({("organisation", 1), ("host", "h.example")})
SAME_HOST = frozenset({("organisation", 2), ("host", "h.example")})
OTHER = frozenset({("organisation", 3), ("host", "elsewhere.org")})


def ladder(
    *scores: tuple[int, frozenset[tuple[str, object]]], n: int = 100
) -> list[PublishedScore]:
    exact = [ExactScore(UUID(int=at), party, right, n) for at, (right, party) in enumerate(scores)]
    return list(published_scores(exact, n).values())


def rights(scores: Iterable[PublishedScore]) -> list[int]:
    return [score.right for score in scores]


@pytest.mark.parametrize(
    ("n", "step", "noise"), [(1, 1, 1), (36, 3, 6), (100, 5, 10), (110, 6, 11)]
)
def test_a_step_is_the_largest_standard_error(n: int, step: int, noise: int) -> None:
    assert (step_of(n), noise_of(n)) == (step, noise)


def test_a_first_score_is_rounded() -> None:
    assert [ladder((right, OWN))[0] for right in (0, 2, 3, 47, 48, 100)] == [
        PublishedScore(right, 2) for right in (0, 0, 5, 45, 50, 100)
    ]


def test_a_score_within_the_noise_of_an_earlier_one_repeats_it() -> None:
    assert ladder((50, OWN), (60, OWN), (40, OWN), (61, OWN)) == [
        PublishedScore(50, 2),
        PublishedScore(50, 10),
        PublishedScore(50, 10),
        PublishedScore(60, 2),
    ]


def test_the_best_one_within_the_noise_is_repeated() -> None:
    assert rights(ladder((50, OWN), (61, OWN), (55, OWN))) == [50, 60, 60]


def test_a_party_is_an_organisation_or_a_host() -> None:
    assert rights(ladder((50, OWN), (53, SAME_HOST), (53, OTHER))) == [50, 50, 55]


def test_no_more_are_right_than_were_answered() -> None:
    score = ExactScore(UUID(int=0), OWN, right=3, most=4)
    assert published_scores([score], 100)[score.run] == PublishedScore(4, 2)


@given(
    st.integers(1, 400).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n), min_size=1, max_size=12))
    )
)
def test_the_bounds_hold_and_show_which_applies(drawn: tuple[int, list[int]]) -> None:
    n, exact = drawn
    published = ladder(*((right, OWN) for right in exact), n=n)
    seen: set[int] = set()
    for right, score in zip(exact, published, strict=True):
        assert 0 <= score.right <= n and abs(score.right - right) <= score.within
        assert (score.right in seen) is (score.within == noise_of(n)) or n < 4
        seen.add(score.right)
    apart = [high - low for low, high in pairwise(sorted(seen))]
    assert all(gap >= step_of(n) for gap in apart if max(seen) < n)
