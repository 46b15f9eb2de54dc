"""The evidence word: its order, its bounds, and that it never speaks without power."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.rankings.statistics import Counts, Evidence, Interval, judge, newcombe, smallest_visible_gap

WIDE, NARROW = Interval(-0.08, 0.08), Interval(-0.02, 0.02)


def word(public: int, private: int, n: int, *, cut: int = 0) -> Evidence:
    gap = newcombe(public, n, private, n, 0.95)
    return judge(Counts(public, cut, n), Counts(private, 0, n), gap, 0.95)


@pytest.mark.parametrize(
    ("public", "private", "n", "expected"),
    [
        (396, 250, 400, Evidence.HIGHER_ON_PUBLIC),
        (330, 328, 400, Evidence.TOO_NOISY),
        (398, 397, 400, Evidence.NO_EVIDENCE),
        (1000, 998, 1250, Evidence.NO_EVIDENCE),
        (250, 396, 400, Evidence.NO_EVIDENCE),
        (0, 0, 400, Evidence.NO_EVIDENCE),
        (0, 0, 20, Evidence.TOO_NOISY),
    ],
)
def test_words_for_plain_cases(public: int, private: int, n: int, expected: Evidence) -> None:
    assert word(public, private, n) is expected


def test_truncation_above_two_percent_on_either_set_comes_first() -> None:
    gap = newcombe(396, 400, 250, 400, 0.95)
    at, above = Counts(396, 8, 400), Counts(396, 9, 400)
    assert judge(at, Counts(250, 8, 400), gap, 0.95) is Evidence.HIGHER_ON_PUBLIC
    assert judge(above, Counts(250, 0, 400), gap, 0.95) is Evidence.CUT_OFF
    assert judge(Counts(396, 0, 400), Counts(250, 9, 400), gap, 0.95) is Evidence.CUT_OFF


def test_the_published_power_table_is_met() -> None:
    # raw gap, one-sided .05, power .8, 1319 against 1205 items: 4.9 pp at p = .5 and 2.8 to 3.0 at p = .9
    half = newcombe(660, 1319, 603, 1205, 0.95)
    assert smallest_visible_gap(half, 0.95) == pytest.approx(0.0495, abs=5e-4)
    high = newcombe(1187, 1319, 1085, 1205, 0.95)
    assert 0.028 < smallest_visible_gap(high, 0.95) < 0.0305


def test_the_smallest_visible_gap_is_2_49_standard_errors() -> None:
    assert smallest_visible_gap(Interval(-0.196, 0.196), 0.95) == pytest.approx(0.1 * 2.4865, abs=1e-4)


@given(st.floats(-1, 1), st.floats(0, 1))
def test_higher_on_public_needs_an_interval_wholly_above_zero(lo: float, width: float) -> None:
    interval = Interval(lo, lo + width)
    found = judge(Counts(1, 0, 100), Counts(1, 0, 100), interval, 0.95)
    assert (found is Evidence.HIGHER_ON_PUBLIC) == (lo > 0)
    if found is Evidence.TOO_NOISY:
        assert interval.low <= 0 <= interval.high
