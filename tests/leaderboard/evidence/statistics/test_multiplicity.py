"""Adjusted p-values against statsmodels, the step procedures in plain loops, and what must hold for any list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from leaderboard.evidence import statistics as s

lists = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@pytest.mark.slow
@settings(max_examples=15)  # the peer takes .15 s for each
@given(lists)
def test_both_agree_with_statsmodels(p: list[float]) -> None:
    assert s.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)
    assert s.benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-12)


@given(lists, st.floats(0.001, 0.2))
def test_holm_is_the_step_down(p: list[float], alpha: float) -> None:
    rejected = 0
    for step, value in enumerate(sorted(p)):
        if value * (len(p) - step) > alpha:
            break
        rejected += 1
    assert (s.holm(p) <= alpha).sum() == rejected


@given(lists)
def test_order_is_preserved_and_holm_is_the_stricter(p: list[float]) -> None:
    for adjust in (s.holm, s.benjamini_hochberg):
        adjusted = adjust(p)
        assert np.all(adjusted >= np.asarray(p) - 1e-15)
        assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= -1e-15)
        assert adjust(p[::-1]) == pytest.approx(adjusted[::-1])
    assert np.all(s.holm(p) >= s.benjamini_hochberg(p) - 1e-15)


def test_an_empty_cohort_has_no_p() -> None:
    assert len(s.holm([])) == len(s.benjamini_hochberg([])) == 0


@pytest.mark.parametrize("p", [[-0.1], [1.2], [float("nan")], [[0.1]]])
def test_what_is_no_p_is_refused(p: list[float]) -> None:
    for adjust in (s.holm, s.benjamini_hochberg):
        with pytest.raises(ValueError, match="p-values"):
            adjust(p)
