"""Efficient frontier: ties, equal sizes, one model, none."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from leaderboard.charts.frontier import Sized, efficient, line


def test_a_smaller_model_with_as_high_a_score_puts_a_larger_one_off() -> None:
    models = [
        Sized("small", 1e6, 0.4),
        Sized("middle", 1e7, 0.4),
        Sized("large", 1e8, 0.7),
        Sized("larger", 1e9, 0.6),
    ]
    for order in permutations(models):
        found = efficient(order)
        assert found == {"small": True, "middle": False, "large": True, "larger": False}
        assert line(order, found) == [(1e6, 0.4), (1e8, 0.7)]


def test_equals_are_efficient_together_and_the_line_has_their_point_once() -> None:
    models = [Sized("a", 1e6, 0.4), Sized("b", 1e6, 0.4), Sized("c", 1e6, 0.3)]
    found = efficient(models)
    assert found == {"a": True, "b": True, "c": False}
    assert line(models, found) == [(1e6, 0.4)]


def test_no_model_of_known_size() -> None:
    assert efficient([]) == {}
    assert line([], {}) == []


def test_a_score_of_zero_is_a_score() -> None:
    assert efficient([Sized("a", 1e6, 0.0)]) == {"a": True}


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=12))
def test_efficient_is_what_no_other_model_dominates(pairs: list[tuple[int, int]]) -> None:
    models = [Sized(str(place), size, score) for place, (size, score) in enumerate(pairs)]
    found = efficient(models)
    for one in models:
        dominated = any(
            other.size <= one.size
            and other.score >= one.score
            and (other.size, other.score) != (one.size, one.score)
            for other in models
        )
        assert found[one.model] is not dominated
