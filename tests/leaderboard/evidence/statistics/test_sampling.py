"""Metrics of several samples against every choice of k of them, written out."""

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.evidence import statistics as s

answers = st.lists(st.integers(0, 3), min_size=1, max_size=8)


@given(st.data(), answers)
def test_pass_and_all_pass_are_the_mean_over_choices(data: st.DataObject, drawn: list[int]) -> None:
    right = [one == 0 for one in drawn]
    n, c, k = len(drawn), sum(right), data.draw(st.integers(1, len(drawn)))
    chosen = list(combinations(right, k))
    assert s.pass_at_k(n, c, k) == pytest.approx(sum(map(any, chosen)) / len(chosen))
    assert s.pass_hat_k(n, c, k) == pytest.approx(sum(map(all, chosen)) / len(chosen))


@settings(max_examples=80)
@given(st.data(), answers)
def test_majority_is_the_mean_over_choices(data: st.DataObject, drawn: list[int]) -> None:
    k = data.draw(st.integers(1, len(drawn)))
    total, chosen = 0.0, list(combinations(drawn, k))
    for choice in chosen:
        votes = [choice.count(answer) for answer in range(4)]
        if votes[0] == max(votes):
            total += 1 / votes.count(max(votes))
    counts = [drawn.count(answer) for answer in range(4)]
    assert s.maj_at_k(counts, 0, k) == pytest.approx(total / len(chosen))


@settings(max_examples=80)
@given(st.data(), st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7))
def test_best_of_n_is_the_mean_over_choices(
    data: st.DataObject, samples: list[tuple[int, bool]]
) -> None:
    k = data.draw(st.integers(1, len(samples)))
    # Equal scores are broken by a place among all samples; each order of a tie counts the same.
    total = 0.0
    chosen = list(combinations(range(len(samples)), k))
    for choice in chosen:
        top = max(samples[i][0] for i in choice)
        tied = [samples[i][1] for i in choice if samples[i][0] == top]
        total += sum(tied) / len(tied)
    scores, right = [one for one, _ in samples], [one for _, one in samples]
    assert s.best_of_n(scores, right, k) == pytest.approx(total / len(chosen))


def test_an_answer_that_never_came_never_wins() -> None:
    assert s.maj_at_k([3, 2], None, 2) == 0.0
    assert s.maj_at_k([0, 5], 0, 3) == 0.0


def test_large_counts_stay_exact() -> None:
    assert s.pass_at_k(1000, 1, 500) == pytest.approx(0.5)
    assert s.maj_at_k([60, 40], 0, 1) == pytest.approx(0.6)


def test_the_mean_over_items_and_its_error() -> None:
    found = s.over_items([0.0, 1.0, 1.0, 0.0])
    assert found == pytest.approx((0.5, (1 / 3) ** 0.5 / 2))


@pytest.mark.parametrize("counts", [(5, 6, 1), (5, -1, 1), (5, 1, 0), (5, 1, 6)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    for function in (s.pass_at_k, s.pass_hat_k):
        with pytest.raises(ValueError, match="samples"):
            function(*counts)


def test_the_rest_is_refused_too() -> None:
    for wrong in (([-1, 2], 0, 1), ([1, 2], 0, 4), ([1, 2], 2, 1)):
        with pytest.raises(ValueError, match=r"majority|right answer"):
            s.maj_at_k(*wrong)
    for short in (([1.0], [1, 0], 1), ([1.0], [1], 2)):
        with pytest.raises(ValueError, match="best of n"):
            s.best_of_n(*short)
    with pytest.raises(ValueError, match="two items"):
        s.over_items([1.0])
