"""Shrunken gaps: the largest of many is not too large on average."""

import numpy as np
import pytest

from leaderboard.evidence import statistics as s


def test_the_largest_of_many_is_too_large_and_its_shrunken_value_is_not() -> None:
    rng = np.random.default_rng(1)
    raw = []
    corrected = []
    for _ in range(400):
        true = rng.normal(0.01, 0.02, 40)
        error = rng.uniform(0.01, 0.03, 40)
        gaps = rng.normal(true, error)
        first = int(np.argmax(gaps))
        raw.append(gaps[first] - true[first])
        corrected.append(s.shrunken(gaps, error)[first].gap - true[first])
    assert np.mean(raw) > 0.015
    assert abs(np.mean(corrected)) < 3 * np.std(corrected) / len(corrected) ** 0.5 + 0.001


def test_what_chance_explains_is_drawn_to_the_mean() -> None:
    together = s.shrunken([0.01, 0.02, 0.03, 0.02], [0.05] * 4)
    assert {round(one.gap, 6) for one in together} == {0.02}
    apart = s.shrunken([0.0, 0.0, 0.0, 0.3], [0.01] * 4)
    assert 0.29 < apart[3].gap < 0.3
    assert s.shrunken([0.1, 0.2, 0.3], [0.01] * 3) == []
    with pytest.raises(ValueError, match="positive error"):
        s.shrunken([0.1], [0.0])
