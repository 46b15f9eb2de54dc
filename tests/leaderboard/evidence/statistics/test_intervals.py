"""Wilson and Newcombe against published values, a second implementation, and what must hold for any counts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from leaderboard.evidence.statistics import Interval, newcombe, wilson

TINY = 1e-12

# (k, n, lo, hi): Newcombe 1998a, Stat. Med. 17:857, table I
WILSON_1998 = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
]
# (k1, n1, k2, n2, lo, hi): Newcombe 1998b, Stat. Med. 17:873, table II
NEWCOMBE_1998 = [
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
]


@st.composite
def shares(draw: st.DrawFn, most: int = 3000) -> tuple[int, int]:
    n = draw(st.integers(1, most))
    return draw(st.integers(0, n)), n


levels = st.floats(0.5, 0.999)


@pytest.mark.parametrize(("k", "n", "lo", "hi"), WILSON_1998)
def test_wilson_as_published(k: int, n: int, lo: float, hi: float) -> None:
    assert wilson(k, n, 0.95) == pytest.approx((lo, hi), abs=6e-5)


@pytest.mark.parametrize("published", NEWCOMBE_1998)
def test_newcombe_as_published(published: tuple[int, int, int, int, float, float]) -> None:
    k1, n1, k2, n2, lo, hi = published
    assert newcombe(k1, n1, k2, n2, 0.95) == pytest.approx((lo, hi), abs=6e-5)


@pytest.mark.data
def test_every_vector_of_the_shared_file(data_dir: Path) -> None:
    functions: dict[str, Any] = {"Wilson 95%": wilson, "Newcombe method 10, p1-p2": newcombe}
    vectors = json.loads((data_dir / "published" / "statistics_vectors.json").read_text())
    chosen = [vector for vector in vectors if vector["what"] in functions]
    assert {"W1", "W2", "NC2", "NC3", "NC5", "NC7"} <= {vector["id"] for vector in chosen}
    for vector in chosen:
        found = functions[vector["what"]](*vector["input"], 0.95)
        assert found == pytest.approx(vector["expected"], abs=vector["tol"]), vector["id"]


@given(shares(), levels)
def test_wilson_agrees_with_statsmodels(share: tuple[int, int], level: float) -> None:
    assert wilson(*share, level) == pytest.approx(
        proportion_confint(*share, alpha=1 - level, method="wilson"), abs=1e-9
    )


@given(shares(), shares(), levels)
def test_newcombe_agrees_with_statsmodels(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> None:
    peer = confint_proportions_2indep(
        *first, *second, method="newcomb", compare="diff", alpha=1 - level
    )
    assert newcombe(*first, *second, level) == pytest.approx(tuple(peer), abs=1e-9)


@given(shares(), levels)
def test_wilson_contains_the_share_and_stays_between_0_and_1(
    share: tuple[int, int], level: float
) -> None:
    lo, hi = wilson(*share, level)
    assert 0 <= lo <= share[0] / share[1] <= hi <= 1


@given(shares(), levels)
def test_wilson_mirrors_right_and_wrong(share: tuple[int, int], level: float) -> None:
    k, n = share
    lo, hi = wilson(k, n, level)
    assert wilson(n - k, n, level) == pytest.approx((1 - hi, 1 - lo), abs=TINY)


@given(shares(), shares(), levels)
def test_newcombe_is_antisymmetric(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> None:
    lo, hi = newcombe(*first, *second, level)
    assert newcombe(*second, *first, level) == pytest.approx((-hi, -lo), abs=TINY)


@given(shares(), shares(), levels)
def test_newcombe_contains_the_gap_and_stays_between_minus_1_and_1(
    first: tuple[int, int], second: tuple[int, int], level: float
) -> None:
    lo, hi = newcombe(*first, *second, level)
    gap = first[0] / first[1] - second[0] / second[1]
    assert -1 - TINY <= lo <= gap <= hi <= 1 + TINY


@given(shares(300), shares(300), st.integers(2, 20))
def test_more_items_at_the_same_shares_narrow_both(
    first: tuple[int, int], second: tuple[int, int], times: int
) -> None:
    def width(interval: Interval) -> float:
        return interval.high - interval.low

    more_first, more_second = (
        (first[0] * times, first[1] * times),
        (second[0] * times, second[1] * times),
    )
    assert width(wilson(*more_first, 0.95)) < width(wilson(*first, 0.95))
    assert width(newcombe(*more_first, *more_second, 0.95)) < width(newcombe(*first, *second, 0.95))


@given(shares(), shares(), levels, levels)
def test_a_higher_level_holds_the_lower_one(
    first: tuple[int, int], second: tuple[int, int], one: float, other: float
) -> None:
    assume(abs(one - other) > 1e-6)
    inner, outer = (newcombe(*first, *second, level) for level in sorted((one, other)))
    assert outer.low <= inner.low <= inner.high <= outer.high


@pytest.mark.parametrize("p", [0.03, 0.2, 0.5, 0.83, 0.97])
def test_wilson_covers_at_about_its_level(p: float) -> None:
    n = 400
    cover = sum(
        binom.pmf(k, n, p)
        for k in range(n + 1)
        if wilson(k, n, 0.95).low <= p <= wilson(k, n, 0.95).high
    )
    assert 0.93 <= cover <= 0.97


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0), (1, 0)])
def test_counts_that_cannot_be_are_refused(k: int, n: int) -> None:
    with pytest.raises(ValueError, match="share"):
        wilson(k, n, 0.95)
    with pytest.raises(ValueError, match="share"):
        newcombe(1, 2, k, n, 0.95)


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 95.0, float("nan")])
def test_levels_that_cannot_be_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level)
