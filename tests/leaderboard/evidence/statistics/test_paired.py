"""Paired differences: brute force likelihood, scipy's binomial test, and what must hold for any counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.paired import tango_z


@st.composite
def pairs(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 1500))
    b = draw(st.integers(0, n))
    return b, draw(st.integers(0, n - b)), n


@settings(max_examples=80)
@given(pairs(), st.floats(0.5, 0.999))
def test_tango_holds_the_difference_and_mirrors(pair: tuple[int, int, int], level: float) -> None:
    b, c, n = pair
    low, high = s.tango(b, c, n, level)
    assert -1 <= low <= (b - c) / n + 1e-9
    assert (b - c) / n - 1e-9 <= high <= 1
    assert s.tango(c, b, n, level) == pytest.approx((-high, -low), abs=1e-6)


@pytest.mark.parametrize(
    ("b", "c", "n", "delta"),
    [(9, 3, 32, 0.1), (1, 7, 21, -0.4), (0, 4, 30, 0.05), (20, 5, 60, 0.3)],
)
def test_tango_uses_the_most_likely_nuisance(b: int, c: int, n: int, delta: float) -> None:
    shares = np.linspace(max(0, -delta) + 1e-9, (1 - delta) / 2 - 1e-9, 200_001)
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = (
            np.where(b > 0, b * np.log(shares + delta), 0)
            + np.where(c > 0, c * np.log(shares), 0)
            + (n - b - c) * np.log(1 - delta - 2 * shares)
        )
    best = shares[np.argmax(likelihood)]
    plain = (b - c - n * delta) / np.sqrt(n * (2 * best + delta * (1 - delta)))
    assert tango_z(b, c, n, delta) == pytest.approx(plain, abs=1e-3)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_agrees_with_scipy_and_statsmodels(b: int, c: int) -> None:
    found = s.mcnemar_exact(b, c)
    assert found == s.mcnemar_exact(c, b)
    if b + c:
        assert found == pytest.approx(binomtest(b, b + c).pvalue, abs=1e-9)
        assert s.mcnemar_chi2(b, c) == pytest.approx(
            mcnemar([[0, b], [c, 0]], exact=False, correction=False).statistic
        )
    else:
        assert (found, s.mcnemar_chi2(b, c)) == (1.0, 0.0)


def test_published_paired_counts_of_a_rephrased_set() -> None:
    """Abel 70B on GSM8K and its number-perturbed copy, 1,319 items: 84 against 60 discordant."""
    low, high = s.tango(84, 60, 1319)
    assert low < 0.0182 < high
    assert s.mcnemar_exact(84, 60) == pytest.approx(0.0547, abs=5e-4)


@pytest.mark.parametrize("counts", [(-1, 2, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="discordant"):
        s.tango(*counts)


def test_a_negative_count_is_refused_by_mcnemar() -> None:
    with pytest.raises(ValueError, match="discordant"):
        s.mcnemar_exact(-1, 2)
