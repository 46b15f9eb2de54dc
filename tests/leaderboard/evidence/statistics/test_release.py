"""The bound beside the release rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.evidence import statistics as s


@given(st.integers(1, 3000), st.floats(0.05, 0.99))
def test_the_bound_is_the_first_that_reaches(n: int, threshold: float) -> None:
    bound = s.release_bound(n, threshold)
    if bound is None:
        assert not s.is_surely_above(n, n, threshold)
    else:
        assert s.is_surely_above(bound, n, threshold)
        assert bound == 0 or not s.is_surely_above(bound - 1, n, threshold)


@pytest.mark.parametrize(("n", "threshold"), [(0, 0.5), (10, 0.0), (10, 1.0)])
def test_what_cannot_be_is_refused(n: int, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"share|threshold"):
        s.release_bound(n, threshold)
