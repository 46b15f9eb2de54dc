"""Likelihood against gap: scipy, the paper's own table, and how often the intervals cover."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from leaderboard.evidence import statistics as s

points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=5, max_size=40)


@given(points)
def test_estimates_agree_with_scipy(drawn: list[tuple[int, int]]) -> None:
    x, y = zip(*drawn, strict=True)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(s.spearman(x, y).estimate)
        assert np.isnan(s.kendall(x, y).estimate)
        return
    for found, peer in ((s.spearman(x, y), spearmanr(x, y)), (s.kendall(x, y), kendalltau(x, y))):
        assert found.estimate == pytest.approx(float(peer.statistic), abs=1e-12)
        assert found.interval.low <= found.estimate <= found.interval.high


def test_partial_is_the_recursion_of_plain_rank_correlations() -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=60)
    x, y = z + rng.normal(size=60), z + rng.normal(size=60)
    xy, xz, yz = (s.spearman(a, b).estimate for a, b in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / ((1 - xz**2) * (1 - yz**2)) ** 0.5
    assert s.partial_spearman(x, y, [z]).estimate == pytest.approx(expected)
    assert s.partial_spearman(x, y, []).estimate == pytest.approx(xy)


def test_what_is_fully_explained_has_no_partial_correlation() -> None:
    z = np.arange(10.0)
    assert np.isnan(s.partial_spearman(z, z**2, [z]).estimate)


def test_families_are_drawn_whole() -> None:
    """Ten copies of each of eight models: as eight families the interval is as wide as eight models', not eighty's."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=8)
    y = x + rng.normal(size=8)
    copies, labels = np.repeat(x, 10), np.repeat(np.arange(8), 10)
    whole = s.bca_over_families(copies, np.repeat(y, 10), labels, np.random.default_rng(0))
    each = s.bca_over_families(copies, np.repeat(y, 10), range(80), np.random.default_rng(0))
    assert whole.high - whole.low > 2 * (each.high - each.low)


def test_the_bootstrap_covers_and_is_seeded() -> None:
    rng, hits = np.random.default_rng(3), 0
    truth = 6 / np.pi * np.arcsin(0.6 / 2)
    for _ in range(30):
        x = rng.normal(size=60)
        y = 0.6 * x + 0.8 * rng.normal(size=60)
        low, high = s.bca_over_families(x, y, range(60), np.random.default_rng(0), draws=300)
        hits += low <= truth <= high
    assert hits / 30 > 0.8
    again = s.bca_over_families(x, y, range(60), np.random.default_rng(0), draws=300)
    assert (low, high) == again


@pytest.mark.data
def test_the_papers_correlation_and_how_fragile_it_is(data_dir: Path) -> None:
    """Zhang et al. print a Spearman r² of .32 with p = .03 for 39 models; the table here has 45 likelihoods."""
    with (data_dir / "published" / "gsm1k_table.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["ll_per_char_gsm8k"]]
    ll, gap = ([float(row[key]) for row in rows] for key in ("ll_per_char_gsm8k", "diff_printed"))
    size, score = ([float(row[key]) for row in rows] for key in ("params_b", "gsm1k_acc"))
    assert len(rows) == 45
    found = s.spearman(ll, gap)
    assert 0.2 < found.estimate < 0.5
    assert found.interval.low < found.estimate
    families = [row["family"] for row in rows]
    low, high = s.bca_over_families(ll, gap, families, np.random.default_rng(0))
    assert high - low > found.interval.high - found.interval.low - 0.1
    left = s.partial_spearman(ll, gap, [np.log(size), score])
    assert left.estimate < found.estimate


def test_what_cannot_be_is_refused() -> None:
    four = [1.0, 2.0, 3.0, 4.0]
    rng = np.random.default_rng(0)
    for call in (
        lambda: s.spearman([1, 2, 3], [1, 2, 3]),
        lambda: s.kendall(four, four[:3]),
        lambda: s.partial_spearman(four, four, [four]),
        lambda: s.bca_over_families(four, four, ["a", "b", "b", "b"], rng),
    ):
        with pytest.raises(ValueError, match=r"correlation|bootstrap"):
            call()
