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


def test_by_item_the_difficulty_of_the_draw_does_not_count() -> None:
    rng = np.random.default_rng(2)
    skill = rng.normal(0, 1, 13)[:, None]
    easy, hard = rng.normal(-0.5, 1, 600), rng.normal(0.5, 1, 600)
    sides = [
        (rng.random((13, 600)) < 1 / (1 + np.exp(b - skill))).astype(float) for b in (easy, hard)
    ]
    target, others = tuple(side[0] for side in sides), tuple(side[1:] for side in sides)
    plain = s.leak_contrast(*((int(side.sum()), 600) for side in target))
    assert plain.p < 0.001
    assert s.leak_contrast_by_item(target, others).p > 0.05


def test_canaries_multiply() -> None:
    assert s.canaries_by_chance([0.01, 0.02]) == pytest.approx(0.0002)
    with pytest.raises(ValueError, match="chance"):
        s.canaries_by_chance([1.2])
