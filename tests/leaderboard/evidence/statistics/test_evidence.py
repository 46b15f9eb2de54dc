"""The smallest gap in sight."""

import pytest

from leaderboard.evidence.statistics import Interval, newcombe, smallest_visible_gap


def test_the_published_power_table_is_met() -> None:
    # raw gap, one-sided .05, power .8, 1319 against 1205 items: 4.9 pp at p = .5 and 2.8 to 3.0 at p = .9
    half = newcombe(660, 1319, 603, 1205, 0.95)
    assert smallest_visible_gap(half, 0.95, 0.05) == pytest.approx(0.0495, abs=5e-4)
    high = newcombe(1187, 1319, 1085, 1205, 0.95)
    assert 0.028 < smallest_visible_gap(high, 0.95, 0.05) < 0.0305


@pytest.mark.parametrize(("alpha", "errors"), [(0.05, 2.4865), (0.01, 3.1680), (0.001, 3.9318)])
def test_the_smallest_visible_gap_in_standard_errors(alpha: float, errors: float) -> None:
    interval = Interval(-0.196, 0.196)
    assert smallest_visible_gap(interval, 0.95, alpha) == pytest.approx(0.1 * errors, abs=1e-4)
    assert smallest_visible_gap(interval, 0.95) == smallest_visible_gap(interval, 0.95, 0.01)
