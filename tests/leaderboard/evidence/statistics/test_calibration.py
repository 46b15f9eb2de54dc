"""Calibration: the fit by hand, its degree, lineages, and what it covers."""

import numpy as np
import pytest

from leaderboard.evidence.statistics import calibrate

X = np.linspace(-1, 2, 12)
VARIANCE = np.full(12, 0.01)


def test_the_references_spread_enters_the_error() -> None:
    x = np.linspace(0, 1, 5)
    close = calibrate(x, np.full(5, 0.1), np.full(5, 0.01), np.full(5, 0.01))
    wide = calibrate(x, np.array([-0.4, 0.6, 0.1, -0.2, 0.4]), np.full(5, 0.01), np.full(5, 0.01))
    for fit in (close, wide):
        assert fit.expected(x) == pytest.approx(0.1)
        assert fit.freedom == 4
    assert close.tau2 == 0
    assert close.uncertainty(x) == pytest.approx(0.01 / 5)
    # Paule and Mandel's is the sample variance less that of sampling where all errors are equal.
    assert wide.tau2 == pytest.approx(np.var([-0.4, 0.6, 0.1, -0.2, 0.4], ddof=1) - 0.01)


def test_a_line_is_fitted_where_contrasts_change_with_ability() -> None:
    noise = 0.05 * np.random.default_rng(1).standard_normal(12)
    flat = calibrate(X, 0.2 + noise, VARIANCE, VARIANCE, largest_degree=2)
    steep = calibrate(X, 0.2 + 0.3 * X + noise, VARIANCE, VARIANCE, largest_degree=2)
    bent = calibrate(X, 0.2 + 0.3 * X**2 + noise, VARIANCE, VARIANCE, largest_degree=2)
    assert [len(fit.coefficients) for fit in (flat, steep, bent)] == [1, 2, 3]
    assert [fit.freedom for fit in (flat, steep, bent)] == [11, 10, 9]
    at = np.array([0.5])
    assert steep.expected(at)[0] == pytest.approx(0.35, abs=0.05)
    assert steep.slope(at)[0] == pytest.approx(0.3, abs=0.05)
    assert bent.slope(at)[0] == pytest.approx(0.3, abs=0.05)


def test_few_references_have_no_line() -> None:
    steep = calibrate(X[:5], 0.1 * X[:5], VARIANCE[:5], VARIANCE[:5], largest_degree=2)
    assert len(steep.coefficients) == 1


def test_a_lineage_has_one_vote() -> None:
    """Models of a lineage agree; twelve of four lineages know no more than four models."""
    lineages = [place % 4 for place in range(12)]
    contrasts = np.array([0.3, -0.2, 0.0, 0.1])[lineages]
    tiny = np.full(12, 1e-4)
    apart = calibrate(X, contrasts, tiny, tiny)
    together = calibrate(X, contrasts, tiny, tiny, lineages)
    assert together.freedom == 3
    assert apart.freedom == 11
    assert together.uncertainty(X) == pytest.approx(3 * apart.uncertainty(X), rel=0.3)
    # The spread within lineages counts for a model of another lineage.
    inside = contrasts + 0.2 * np.repeat([1, -1, 1], 4)
    assert calibrate(X, inside, tiny, tiny, lineages).tau2 > together.tau2 + 0.02


def test_beyond_the_panel_the_end_counts() -> None:
    fit = calibrate(X, 0.3 * X, VARIANCE, VARIANCE)
    ends = fit.expected(np.array([-5.0, -1.0, 2.0, 9.0]))
    assert ends == pytest.approx([-0.3, -0.3, 0.6, 0.6], abs=1e-6)
    assert fit.slope(np.array([-5.0, 9.0])).tolist() == [0, 0]
    inside = fit.covers(np.array([-1.5, -1.2, 2.2, 2.5]), np.full(4, 0.01))
    assert inside.tolist() == [False, True, True, False]
    assert fit.private_range == pytest.approx((0.2689, 0.8808), abs=1e-4)


def test_fewer_than_four_lineages_are_refused() -> None:
    with pytest.raises(ValueError, match="lineages"):
        calibrate(X, X, VARIANCE, VARIANCE, [0, 1, 2] * 4)
