"""Leak contrasts: size, power as promised, and the adjusted form."""

import numpy as np
import pytest

from leaderboard.evidence import statistics as s


def test_a_leak_is_found_as_often_as_promised() -> None:
    rng = np.random.default_rng(1)
    promised = s.leak_contrast((800, 1000), (200, 250)).visible
    assert promised == pytest.approx(0.065, abs=0.001)
    for true, low, high in ((0.0, 0.03, 0.07), (promised, 0.77, 0.84)):
        drawn = zip(rng.binomial(1000, 0.8 + true, 1500), rng.binomial(250, 0.8, 1500), strict=True)
        share = np.mean(
            [s.leak_contrast((int(a), 1000), (int(b), 250)).p <= 0.05 for a, b in drawn]
        )
        assert low <= share <= high


def test_the_contrast_is_exposed_less_unexposed() -> None:
    found = s.leak_contrast((90, 100), (70, 100))
    assert found.difference == pytest.approx(0.2)
    assert found.interval.low < 0.2 < found.interval.high
    assert found.p < 0.01
