"""Standard errors of accuracies: the formulas in plain loops, and that they cover where the plain error does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.evidence import statistics as s

items = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=2, max_size=40)


@given(items)
def test_clustered_is_the_double_sum(drawn: list[tuple[int, int]]) -> None:
    x, labels = [float(one) for one, _ in drawn], [one for _, one in drawn]
    n, mean = len(x), sum(x) / len(x)
    naive = sum((one - mean) ** 2 for one in x) / (n * (n - 1))
    cross = sum(
        (x[i] - mean) * (x[j] - mean)
        for i in range(n)
        for j in range(n)
        if i != j and labels[i] == labels[j]
    )
    found = s.clustered(x, labels)
    assert found.se == pytest.approx(max(naive + cross / n**2, 0) ** 0.5, abs=1e-9)
    assert found.naive_se == pytest.approx(naive**0.5)


@given(st.lists(st.integers(0, 1), min_size=2, max_size=40))
def test_one_item_per_cluster_is_the_plain_error(x: list[int]) -> None:
    found = s.clustered(x, range(len(x)))
    assert found.se == pytest.approx(found.naive_se)
    assert found.design_effect == pytest.approx(1)


def test_clusters_cover_where_the_plain_error_does_not() -> None:
    rng, hits = np.random.default_rng(3), np.zeros(2)
    labels = np.repeat(np.arange(60), 5)
    for _ in range(400):
        chance = np.repeat(rng.beta(1.5, 1.5, 60), 5)
        found = s.clustered((rng.random(300) < chance).astype(float), labels)
        hits += [abs(found.mean - 0.5) <= 1.96 * se for se in (found.se, found.naive_se)]
    assert hits[0] / 400 > 0.91
    assert hits[1] / 400 < 0.88


@given(st.lists(st.integers(0, 8), min_size=2, max_size=40))
def test_the_parts_of_k_samples_add_up(right: list[int]) -> None:
    found = s.sampled(right, 8)
    assert found.within + found.between == pytest.approx(found.se**2, abs=1e-12)
    assert found.within >= 0


def test_within_is_what_sampling_alone_would_do() -> None:
    rng = np.random.default_rng(5)
    chance = rng.beta(1, 1, 200)
    found = [s.sampled(rng.binomial(4, chance), 4) for _ in range(200)]
    means = np.array([one.mean for one in found])
    assert np.mean([one.within for one in found]) == pytest.approx(means.var(ddof=1), rel=0.3)


def test_one_sample_cannot_be_split() -> None:
    found = s.sampled([1, 0, 1, 1], 1)
    assert found.se == pytest.approx((0.75 * 0.25 / 3) ** 0.5)
    assert np.isnan(found.within)
    assert np.isnan(found.between)


def test_what_cannot_be_is_refused() -> None:
    for right, samples in (([1], [1]), ([2, 1], [1, 1]), ([0, 0], [0, 1])):
        with pytest.raises(ValueError, match="sampled"):
            s.sampled(right, samples)
    with pytest.raises(ValueError, match="clustered"):
        s.clustered([1.0, 0.0], [1])
