"""The smallest gap in sight."""

import pytest

from leaderboard.evidence.statistics import Interval, newcombe, smallest_visible_gap


def test_the_published_power_table_is_met() -> None:
    # raw gap, one-sided .05, power .8, 1319 against 1205 items: 4.9 pp at p = .5 and 2.8 to 3.0 at p = .9
    half = newcombe(660, 1319, 603, 1205, 0.95)
    assert smallest_visible_gap(half, 0.95) == pytest.approx(0.0495, abs=5e-4)
    high = newcombe(1187, 1319, 1085, 1205, 0.95)
    assert 0.028 < smallest_visible_gap(high, 0.95) < 0.0305


def test_the_smallest_visible_gap_is_2_49_standard_errors() -> None:
    assert smallest_visible_gap(Interval(-0.196, 0.196), 0.95) == pytest.approx(
        0.1 * 2.4865, abs=1e-4
    )
