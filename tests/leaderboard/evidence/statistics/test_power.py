"""The note's table of power, and the promised power by simulation."""

import numpy as np
import pytest
from scipy.stats import t as student

from bench.worlds import World, draw
from leaderboard.evidence import statistics as s


@pytest.mark.parametrize(
    ("p", "plain", "holm_50"),
    [(0.5, 4.9, 7.8), (0.7, 4.4, 6.9), (0.8, 3.8, 5.9), (0.9, 2.8, 4.2), (0.95, 1.9, 2.9)],
)
def test_raw_gaps_as_in_the_note(p: float, plain: float, holm_50: float) -> None:
    assert 100 * s.visible_raw_gap(p, 1319, 1205) == pytest.approx(plain, abs=0.06)
    assert 100 * s.visible_raw_gap(p, 1319, 1205, alpha=0.001) == pytest.approx(holm_50, abs=0.06)


@pytest.mark.parametrize(("n1", "n2", "expected"), [(1000, 250, 6.5), (625, 625, 5.3)])
def test_leaks_as_in_the_note(n1: int, n2: int, expected: float) -> None:
    assert 100 * s.visible_raw_gap(0.8, n1, n2) == pytest.approx(expected, abs=0.06)


def test_the_gap_is_found_four_times_in_five() -> None:
    rng, p = np.random.default_rng(11), 0.8
    gap = s.visible_raw_gap(p, 1319, 1205)
    drawn = zip(rng.binomial(1319, p + gap, 2000), rng.binomial(1205, p, 2000), strict=True)
    found = np.mean([s.score_test(int(a), 1319, int(b), 1205).p_greater <= 0.05 for a, b in drawn])
    assert found == pytest.approx(0.8, abs=2 * (0.16 / 2000) ** 0.5 + 0.005)


def test_a_t_test_with_few_degrees_finds_its_visible_difference_four_times_in_five() -> None:
    rng, se, freedom = np.random.default_rng(3), 0.2, 5
    difference = s.visible(se, 0.01, 0.8, freedom)
    estimate = difference + se * rng.standard_normal(20_000)
    error = se * np.sqrt(rng.chisquare(freedom, 20_000) / freedom)
    assert np.mean(student.sf(estimate / error, freedom) <= 0.01) == pytest.approx(0.8, abs=0.01)
    assert s.visible(se, 0.01, 0.8, 1e6) == pytest.approx(s.visible(se, 0.01, 0.8), rel=1e-3)


def test_both_methods_state_the_gap_that_is_visible_at_a_level() -> None:
    sample = draw(World("harder", harder=0.3), np.random.default_rng(1))
    *references, target = (s.Sides(*one) for one in sample.counts())
    others = (sample.public[:-1], sample.private[:-1])
    by_items = s.item_gap((sample.public[-1], sample.private[-1]), others)
    by_counts = s.adjusted_gap(target, references)
    for gap in (by_items, by_counts):
        assert 0 < gap.visible_at(0.05) < gap.visible_at(0.01) < gap.visible_at(0.001) < 0.12
        assert gap.visible_at(0.05) == pytest.approx(gap.visible, rel=0.1)
        assert gap.p == pytest.approx(student.sf(gap.t, gap.freedom))
        assert gap.se > 0


def test_where_no_gap_can_be_seen() -> None:
    assert np.isnan(s.visible_raw_gap(0.95, 20, 20))


def test_what_cannot_be_is_refused() -> None:
    for call in (
        lambda: s.visible(-1),
        lambda: s.visible_raw_gap(0, 10, 10),
    ):
        with pytest.raises(ValueError, match=r"power|error"):
            call()
