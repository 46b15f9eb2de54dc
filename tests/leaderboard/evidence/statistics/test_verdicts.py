"""Evidence levels: order, thresholds, and the truth of what pages state about them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evaluator.contract import OutcomeCounts
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics import Case, GapTest
from leaderboard.evidence.vocabulary import LEVELS, Evidence


def side(right: int, truncated: int, n: int) -> OutcomeCounts:
    wrong = n - right - truncated
    return OutcomeCounts(n=n, right=right, wrong=wrong, no_answer=0, truncated=truncated)


SIDE, CUT = side(800, 24, 1200), side(800, 25, 1200)
cases = st.builds(
    Case,
    st.sampled_from([SIDE, CUT]),
    st.just(SIDE),
    st.none() | st.builds(GapTest, st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.3)),
)


def level(p: float, visible: float = 0.03, public: OutcomeCounts = SIDE) -> Evidence:
    return s.verdict(Case(public, SIDE, GapTest(p, visible, 0.1))).evidence


def test_the_levels_of_one_model() -> None:
    assert level(0.001, 0.2) is Evidence.OVERFIT
    assert level(0.0011, 0.2) is Evidence.WATCH
    assert level(0.01, 0.2) is Evidence.WATCH
    assert level(0.011, 0.0801) is Evidence.CANNOT_TELL
    assert level(0.011, 0.08) is Evidence.NO_EVIDENCE
    assert s.verdict(Case(SIDE, SIDE, None)) == (Evidence.CANNOT_TELL, None)


def test_truncation_comes_first() -> None:
    assert s.verdict(Case(CUT, SIDE, GapTest(1e-9, 0.01, 0.01))) == (Evidence.CANNOT_TELL, None)
    assert s.verdict(Case(SIDE, CUT, GapTest(1e-9, 0.01, 0.01))) == (Evidence.CANNOT_TELL, None)


@given(cases)
def test_each_level_follows_from_the_rule(case: Case) -> None:
    verdict = s.verdict(case)
    if case.public is CUT or case.test is None:
        expected = Evidence.CANNOT_TELL
    elif case.test.p <= 0.001:
        expected = Evidence.OVERFIT
    elif case.test.p <= 0.01:
        expected = Evidence.WATCH
    else:
        expected = Evidence.CANNOT_TELL if case.test.visible > 0.08 else Evidence.NO_EVIDENCE
    assert verdict.evidence is expected


def test_of_a_thousand_models_that_are_not_overfitted_one_is_called_so() -> None:
    """The sentence of every page, by the raw test on two halves of one difficulty."""
    rng = np.random.default_rng(5)
    models = 20_000
    found = [
        s.verdict(Case(side, other, s.raw_test(side, other))).evidence
        for side, other in (
            (side(int(a), 0, 1200), side(int(b), 0, 1200))
            for a, b in rng.binomial(1200, 0.7, (models, 2))
        )
    ]
    overfit = found.count(Evidence.OVERFIT)
    flagged = overfit + found.count(Evidence.WATCH)
    assert abs(overfit / models - 0.001) < 3 * (0.001 / models) ** 0.5
    assert abs(flagged / models - 0.01) < 3 * (0.01 / models) ** 0.5


def test_a_gap_of_the_visible_size_gets_its_level_four_times_in_five() -> None:
    rng = np.random.default_rng(6)
    test = s.raw_test(side(900, 0, 1300), side(900, 0, 1300))
    share = 900 / 1300
    for lift, alpha in ((test.visible, 0.01), (test.visible_overfit, 0.001)):
        public = rng.binomial(1300, share + lift / 2, 4000)
        private = rng.binomial(1300, share - lift / 2, 4000)
        p = [
            s.score_test(int(a), 1300, int(b), 1300).p_greater
            for a, b in zip(public, private, strict=True)
        ]
        assert np.mean(np.array(p) <= alpha) == pytest.approx(0.8, abs=0.03)


def test_the_raw_test_speaks_for_exchangeable_sets() -> None:
    test = s.raw_test(side(700, 0, 1000), side(600, 0, 1000))
    assert test.p < 1e-5
    assert 0.06 < test.visible < 0.07 < test.visible_overfit < 0.09
    assert s.raw_test(side(600, 0, 1000), side(700, 0, 1000)).p > 0.99


def test_the_worst_case_moves_every_truncated_item() -> None:
    low, high = s.worst_case_gap(side(50, 10, 100), side(40, 20, 100))
    assert (low, high) == pytest.approx((-0.10, 0.20))


def test_levels_are_an_argument() -> None:
    strict = replace(LEVELS, overfit=0.0001, watch=0.0002, visible_gap=0.01)
    case = Case(SIDE, SIDE, GapTest(0.0005, 0.02, 0.03))
    assert s.verdict(case).evidence is Evidence.OVERFIT
    assert s.verdict(case, strict).evidence is Evidence.CANNOT_TELL
