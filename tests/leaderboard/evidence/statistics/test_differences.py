"""Differences of two shares: brute force, peers that are right, and what must hold for any counts."""

from math import comb, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.differences import constrained

TINY = 1e-8


@st.composite
def shares(draw: st.DrawFn, most: int = 1500) -> tuple[int, int]:
    n = draw(st.integers(1, most))
    return draw(st.integers(0, n)), n


levels = st.floats(0.5, 0.999)


def likelihood(one: tuple[int, int], other: tuple[int, int], p1: float, p2: float) -> float:
    (k1, n1), (k2, n2) = one, other
    terms = ((k1, p1), (n1 - k1, 1 - p1), (k2, p2), (n2 - k2, 1 - p2))
    return sum(k * log(max(p, 1e-300)) for k, p in terms if k)


@settings(max_examples=60)
@given(shares(40), shares(40), st.floats(-0.98, 0.98))
def test_the_constrained_shares_are_the_most_likely(
    one: tuple[int, int], other: tuple[int, int], delta: float
) -> None:
    first, second = constrained(*one, *other, delta)
    assert first - second == pytest.approx(delta, abs=TINY)
    grid = np.linspace(max(0.0, delta), min(1.0, 1 + delta), 401)
    best = max(likelihood(one, other, p, p - delta) for p in grid)
    assert likelihood(one, other, first, second) >= best - 1e-6


@settings(max_examples=60)
@given(shares(), shares(), levels)
def test_the_interval_is_what_the_test_does_not_reject(
    one: tuple[int, int], other: tuple[int, int], level: float
) -> None:
    low, high = s.miettinen_nurminen(*one, *other, level)
    z = norm.ppf((1 + level) / 2)
    if low > -1:
        assert s.score_z(*one, *other, low) == pytest.approx(z, abs=1e-4)
    if high < 1:
        assert s.score_z(*one, *other, high) == pytest.approx(-z, abs=1e-4)


@settings(max_examples=60)
@given(shares(), shares(), levels)
def test_it_contains_the_difference_and_mirrors(
    one: tuple[int, int], other: tuple[int, int], level: float
) -> None:
    low, high = s.miettinen_nurminen(*one, *other, level)
    gap = one[0] / one[1] - other[0] / other[1]
    assert -1 <= low <= gap + TINY
    assert gap - TINY <= high <= 1
    mirrored = s.miettinen_nurminen(*other, *one, level)
    assert mirrored == pytest.approx((-high, -low), abs=1e-6)


@given(shares(), levels)
def test_clopper_pearson_agrees_with_statsmodels(share: tuple[int, int], level: float) -> None:
    interval = s.clopper_pearson(*share, level)
    peer = proportion_confint(*share, alpha=1 - level, method="beta")
    assert interval == pytest.approx(peer, abs=1e-9)
    assert interval.low - TINY <= share[0] / share[1] <= interval.high + TINY


def test_at_the_lengths_of_the_paper_newcombe_and_the_score_interval_agree() -> None:
    for k1, k2 in ((655, 600), (1050, 900), (900, 850)):
        assert s.newcombe(k1, 1319, k2, 1205) == pytest.approx(
            s.miettinen_nurminen(k1, 1319, k2, 1205), abs=5e-4
        )


def test_the_one_sided_p_is_small_where_the_first_is_higher() -> None:
    high, low = s.score_test(80, 100, 60, 100), s.score_test(60, 100, 80, 100)
    assert high.p_greater < 0.01
    assert low.p_greater > 0.99
    assert high.p_two_sided == pytest.approx(2 * high.p_greater)
    assert s.score_test(0, 10, 0, 10) == (0.0, 0.5, 1.0)
    assert s.score_test(5, 5, 0, 5).p_greater < 0.01


def test_the_size_of_the_score_test_counted_out() -> None:
    """Exact size at 40 and 35 items and equal shares: near .05 at every level of skill."""
    for p in (0.3, 0.5, 0.8):
        weights = [[comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)] for n in (40, 35)]
        size = sum(
            a * b
            for k1, a in enumerate(weights[0])
            for k2, b in enumerate(weights[1])
            if s.score_test(k1, 40, k2, 35).p_greater <= 0.05
        )
        assert 0.03 <= size <= 0.06


@pytest.mark.parametrize("function", [s.newcombe, s.miettinen_nurminen, s.score_test])
@pytest.mark.parametrize("counts", [(3, 2, 1, 2), (1, 2, -1, 2), (0, 0, 1, 2)])
def test_counts_that_cannot_be_are_refused(
    function: type[s.score_test], counts: tuple[int, int, int, int]
) -> None:
    with pytest.raises(ValueError, match="share"):
        function(*counts)


def test_small_cells_get_the_exact_interval() -> None:
    assert s.accuracy_interval(60, 99) == s.clopper_pearson(60, 99)
    assert s.accuracy_interval(60, 100) == s.wilson(60, 100)
