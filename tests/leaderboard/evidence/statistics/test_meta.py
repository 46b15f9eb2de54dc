"""Pooling: against statsmodels, against the equations it solves, and how often a family's interval covers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.meta import paule_mandel

studies = st.lists(st.tuples(st.floats(-2, 2), st.floats(0.01, 1)), min_size=3, max_size=12)


@given(studies)
def test_the_estimate_solves_its_equation(drawn: list[tuple[float, float]]) -> None:
    y, v = np.array(drawn).T
    tau2 = paule_mandel(y, v, np.ones((len(y), 1)))
    w = 1 / (v + tau2)
    q = (w * (y - np.average(y, weights=w)) ** 2).sum()
    assert q == pytest.approx(len(y) - 1, abs=1e-4) if tau2 else q <= len(y) - 1 + 1e-9


def test_the_variance_between_models_agrees_with_statsmodels() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        v = rng.uniform(0.01, 0.2, 8)
        y = rng.normal(0, 2, 8)
        found = paule_mandel(y, v, np.ones((8, 1)))
        assert found > 0
        assert found == pytest.approx(combine_effects(y, v, method_re="iterated").tau2, rel=1e-4)


def test_the_regression_form_spends_all_degrees_of_freedom() -> None:
    rng = np.random.default_rng(1)
    x, v = rng.normal(size=30), rng.uniform(0.01, 0.05, 30)
    y = 1 + 2 * x + rng.normal(0, 0.4, 30)
    design = np.stack([np.ones(30), x], axis=1)
    w = 1 / (v + paule_mandel(y, v, design))
    fit = np.linalg.solve(design.T @ (design * w[:, None]), design.T @ (w * y))
    assert (w * (y - design @ fit) ** 2).sum() == pytest.approx(28, abs=1e-5)


def test_independent_members_are_the_plain_random_effects_mean() -> None:
    y, v = np.array([0.05, 0.01, 0.09, -0.02]), np.array([4, 5, 4, 6]) * 1e-4
    found = s.family_gap(y, np.diag(v))
    tau2 = paule_mandel(y, v, np.ones((4, 1)))
    w = 1 / (v + tau2)
    assert found.tau2 == pytest.approx(tau2, abs=1e-6)
    assert found.estimate == pytest.approx((w * y).sum() / w.sum(), abs=1e-6)
    # At the solution Q is k - 1, so Knapp and Hartung's factor is one.
    assert found.se == pytest.approx(w.sum() ** -0.5, rel=1e-4)
    assert found.prediction is not None
    assert found.interval is not None
    assert (
        found.prediction.low
        < found.interval.low
        < found.estimate
        < found.interval.high
        < found.prediction.high
    )


def test_errors_that_members_share_do_not_average_out() -> None:
    y = np.array([0.030, 0.031, 0.029, 0.030, 0.030])
    shared = 4e-4 * (0.2 * np.eye(5) + 0.8)
    apart = np.diag(np.diag(shared))
    assert s.family_gap(y, shared).se > 1.8 * s.family_gap(y, apart).se


def test_a_familys_interval_covers() -> None:
    """Members differ by 2 points and share the items' luck; ignoring what is shared covers less."""
    rng, k, hits = np.random.default_rng(2), 5, np.zeros(2)
    shared = 3e-4 * (0.3 * np.eye(k) + 0.7)
    root = np.linalg.cholesky(shared)
    for _ in range(600):
        y = 0.03 + 0.02 * rng.standard_normal(k) + root @ rng.standard_normal(k)
        for place, covariance in enumerate((shared, np.diag(np.diag(shared)))):
            interval = s.family_gap(y, covariance).interval
            assert interval is not None
            hits[place] += interval.low <= 0.03 <= interval.high
    assert hits[0] / 600 > 0.93
    assert hits[1] < hits[0]


def test_two_members_have_signs_only() -> None:
    found = s.family_gap([0.05, 0.06], np.diag([1e-4, 1e-4]))
    assert (found.interval, found.prediction, found.p_sign) == (None, None, 0.5)
    assert s.family_gap([0.0], [[1e-4]]).p_sign == 1.0


def test_the_covariance_of_raw_gaps_is_what_resampled_items_show() -> None:
    rng = np.random.default_rng(4)
    skill = rng.normal(size=(3, 1))
    sides = [
        (rng.normal(size=(3, n)) * 0.5 + skill > rng.normal(size=n)).astype(float)
        for n in (400, 300)
    ]
    found = s.shared_covariance(*sides)
    drawn = []
    for _ in range(3000):
        picked = [side[:, rng.integers(0, side.shape[1], side.shape[1])] for side in sides]
        drawn.append(picked[0].mean(axis=1) - picked[1].mean(axis=1))
    assert found == pytest.approx(np.cov(np.array(drawn).T), abs=1.5e-4)
    assert np.diag(found) == pytest.approx(
        [sum(side.var(ddof=1) / len(side) for side in (a, b)) for a, b in zip(*sides, strict=True)]
    )


def test_shapes_that_do_not_fit_are_refused() -> None:
    for call in (
        lambda: s.family_gap([], np.empty((0, 0))),
        lambda: s.family_gap([0.1, 0.2], [[1.0]]),
        lambda: s.shared_covariance(np.zeros((2, 5)), np.zeros((3, 5))),
    ):
        with pytest.raises(ValueError, match=r"family|members"):
            call()
