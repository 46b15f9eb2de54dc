"""Bounds of a test with several looks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.evidence.statistics.sequential import spending_bounds


def test_bounds_of_four_equal_looks_are_those_of_the_literature() -> None:
    # Lan and DeMets, O'Brien-Fleming type, one-sided .025: 4.3326, 2.9631, 2.3590, 2.0141.
    bounds = spending_bounds([1, 2, 3, 4], 0.025)
    assert bounds == pytest.approx([4.3326, 2.9631, 2.3590, 2.0141], abs=5e-4)


def test_one_look_has_the_bound_of_a_test_without_looks() -> None:
    assert spending_bounds([7.0], 0.05) == pytest.approx([1.6449], abs=1e-3)


@pytest.mark.parametrize("level", [0.05, 0.01, 0.001])
def test_chance_to_pass_any_bound_is_the_level(level: float) -> None:
    information = np.array([3.0, 5.0, 6.5, 7.0])
    bounds = spending_bounds(information, level)
    steps = np.sqrt(np.diff(information, prepend=0.0))
    draws = 400_000
    scores = (np.random.default_rng(5).standard_normal((draws, 4)) * steps).cumsum(axis=1)
    found = (scores / np.sqrt(information) >= bounds).any(axis=1).mean()
    assert found == pytest.approx(level, abs=4 * np.sqrt(level / draws))


def test_look_without_information_has_no_bound_of_its_own() -> None:
    bounds = spending_bounds([1.0, 1.0, 2.0], 0.05)
    assert np.isinf(bounds[1])
    assert bounds[[0, 2]] == pytest.approx(spending_bounds([1.0, 2.0], 0.05))


def test_last_look_spends_what_is_left_even_with_hardly_more_information() -> None:
    bounds = spending_bounds([1.0, 2.0, 2.001], 0.05)
    assert np.isfinite(bounds[-1])
    assert np.isinf(spending_bounds([1.0, 2.0, 2.0], 0.05)[-1])


@given(
    steps=st.lists(st.floats(0.01, 10), min_size=1, max_size=6),
    level=st.sampled_from([0.05, 0.01, 0.001]),
)
def test_no_bound_is_below_that_of_one_look(steps: list[float], level: float) -> None:
    bounds = spending_bounds(np.cumsum(steps), level)
    alone = spending_bounds([1.0], level)[0]
    known = bounds[np.isfinite(bounds)]
    assert np.all(known >= alone - 1e-3)
    assert known[-1] <= alone + 0.35


@pytest.mark.parametrize(
    ("information", "level"),
    [([1.0], 0.0), ([1.0], 1.0), ([], 0.05), ([0.0, 1.0], 0.05), ([2.0, 1.0], 0.05)],
)
def test_impossible_input_is_refused(information: list[float], level: float) -> None:
    with pytest.raises(ValueError):
        spending_bounds(information, level)
