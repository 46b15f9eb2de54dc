"""Evidence levels: order, thresholds, and independence of later cohorts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics import Case, Counts, GapTest
from leaderboard.evidence.vocabulary import Evidence, Levels

SIDE, CUT = Counts(800, 24, 1200), Counts(800, 25, 1200)
cases = st.builds(
    Case,
    st.sampled_from([SIDE, CUT]),
    st.just(SIDE),
    st.none() | st.builds(GapTest, st.floats(0, 1), st.floats(0, 0.2)),
)


def found(*tests: GapTest | None, public: Counts = SIDE) -> list[Evidence]:
    return [
        verdict.evidence for verdict in s.verdicts([Case(public, SIDE, test) for test in tests])
    ]


def test_the_levels_of_one_model() -> None:
    assert found(GapTest(0.05, 0.2)) == [Evidence.OVERFIT]
    assert found(GapTest(0.051, 0.2)) == [Evidence.WATCH]
    assert found(GapTest(0.11, 0.0501)) == [Evidence.CANNOT_TELL]
    assert found(GapTest(0.11, 0.05)) == [Evidence.NO_EVIDENCE]
    assert found(None) == [Evidence.CANNOT_TELL]


def test_truncation_comes_first_and_leaves_the_family() -> None:
    cut, tested = s.verdicts(
        [Case(CUT, SIDE, GapTest(1e-9, 0.01)), Case(SIDE, SIDE, GapTest(0.04, 0.01))]
    )
    assert (cut.evidence, cut.p) == (Evidence.CANNOT_TELL, None)
    assert (tested.evidence, tested.holm) == (Evidence.OVERFIT, 0.04)
    assert s.verdicts([Case(SIDE, CUT, GapTest(1e-9, 0.01))])[0].evidence is Evidence.CANNOT_TELL


def test_among_many_one_needs_more() -> None:
    quiet = [GapTest(0.6, 0.03)] * 49
    assert found(GapTest(0.0009, 0.03), *quiet)[0] is Evidence.OVERFIT
    assert found(GapTest(0.0011, 0.03), *quiet)[0] is Evidence.WATCH
    assert found(GapTest(0.04, 0.03), *quiet)[0] is Evidence.NO_EVIDENCE


@given(st.lists(cases, max_size=20))
def test_each_level_follows_from_the_rule(cohort: list[Case]) -> None:
    for case, verdict in zip(cohort, s.verdicts(cohort), strict=True):
        if case.public is CUT or case.test is None:
            expected = Evidence.CANNOT_TELL
        elif verdict.holm is not None and verdict.holm <= 0.05:
            expected = Evidence.OVERFIT
        elif verdict.benjamini_hochberg is not None and verdict.benjamini_hochberg <= 0.10:
            expected = Evidence.WATCH
        else:
            expected = Evidence.CANNOT_TELL if case.test.visible > 0.05 else Evidence.NO_EVIDENCE
        assert verdict.evidence is expected


def test_ten_thousand_new_models_change_no_level_of_an_earlier_cohort() -> None:
    """In one family with the newcomers the same p-value would lose its level."""
    first = [Case(SIDE, SIDE, GapTest(p, 0.03)) for p in (0.001, 0.02, 0.5)]
    later = [Case(SIDE, SIDE, GapTest(0.5, 0.03))] * 10_000
    before = s.verdicts(first)
    s.verdicts(later)
    assert s.verdicts(first) == before
    assert s.verdicts([*first, *later])[0].evidence is not before[0].evidence


def test_the_raw_test_speaks_for_exchangeable_sets() -> None:
    test = s.raw_test(Counts(700, 0, 1000), Counts(600, 0, 1000))
    assert test.p < 1e-5
    assert 0.04 < test.visible < 0.06
    assert s.raw_test(Counts(600, 0, 1000), Counts(700, 0, 1000)).p > 0.99


def test_the_worst_case_moves_every_truncated_item() -> None:
    low, high = s.worst_case_gap(Counts(50, 10, 100), Counts(40, 20, 100))
    assert (low, high) == pytest.approx((-0.10, 0.20))


def test_levels_are_an_argument() -> None:
    strict = Levels(overfit=0.04, watch=0.045, visible_gap=0.01)
    case = Case(SIDE, SIDE, GapTest(0.0475, 0.02))
    assert s.verdicts([case])[0].evidence is Evidence.OVERFIT
    assert s.verdicts([case], strict)[0].evidence is Evidence.CANNOT_TELL
