"""The test for a leak over the runs of one endpoint."""

from math import isfinite

import numpy as np
import pytest
from scipy.stats import binom

from bench.leak import STAGES, Endpoint, Items, answer
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.staged_leaks import FEWEST_MODELS, StagedLeak

PLACE = np.arange(sum(STAGES))
STAGED = np.stack([end > PLACE for end in np.cumsum(STAGES)])


def outcome_of(endpoint: Endpoint, accuracy: float, rng: np.random.Generator) -> StagedLeak:
    items = Items.draw(rng)
    outcomes, seen = answer(items, STAGED, endpoint, accuracy, rng)
    easy = s.easiness(items.others)
    return s.staged_leak(outcomes, seen, easy, compared=(1, 2), comparisons=2)


def found(endpoint: Endpoint, accuracy: float, sims: int) -> int:
    rng = np.random.default_rng(4)
    return sum(outcome_of(endpoint, accuracy, rng).p <= 0.05 for _ in range(sims))


@pytest.mark.parametrize("improves", [0.0, 0.5])
def test_a_clean_endpoint_is_found_by_chance_only_also_where_it_improves(improves: float) -> None:
    assert binom.sf(found(Endpoint("clean", improves=improves), 0.8, 100) - 1, 100, 0.05) > 0.001


def test_what_is_memorised_is_found_and_estimated() -> None:
    leaky = Endpoint("leaky", memorises=0.3, each_time=False)
    assert found(leaky, 0.8, 40) >= 30
    rng = np.random.default_rng(5)
    shares = [outcome_of(leaky, 0.7, rng).share for _ in range(40)]
    assert np.mean(shares) == pytest.approx(0.3, abs=0.06)


def test_fresh_items_that_are_answered_better_are_no_leak() -> None:
    outcomes = np.full((1, 400), np.nan)
    outcomes[0] = np.arange(400) % 5 > (np.arange(400) < 200)
    seen = np.arange(400)[None] < 200
    one = s.staged_leak(outcomes, seen, compared=(0,), comparisons=1)
    other = s.staged_leak(outcomes, ~seen, compared=(0,), comparisons=1)
    assert one.share < 0 < other.share
    assert one.p > 0.99 and other.p < 0.01


def test_a_single_run_is_about_the_score_test_of_its_counts() -> None:
    right = np.repeat([1.0, 0.0, 1.0, 0.0], (270, 30, 240, 60))
    seen = np.arange(600)[None] < 300
    one = s.staged_leak(right[None], seen, compared=(0,), comparisons=1)
    assert one.p == pytest.approx(s.score_test(270, 300, 240, 300).p_greater, abs=0.001)
    assert one.interval.low < one.share == pytest.approx(0.5, abs=0.1)


def test_p_is_corrected_and_never_rises_with_a_further_run() -> None:
    rng = np.random.default_rng(6)
    items = Items.draw(rng)
    outcomes, seen = answer(items, STAGED, Endpoint("leaky", memorises=0.5), 0.6, rng)
    first = s.staged_leak(outcomes, seen, compared=(1,), comparisons=2)
    both = s.staged_leak(outcomes, seen, compared=(1, 2), comparisons=2)
    alone = s.staged_leak(outcomes, seen, compared=(1,), comparisons=1)
    assert both.p <= first.p == pytest.approx(2 * alone.p)
    assert both.visible < first.visible and alone.visible < first.visible


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_and_all_wrong_have_a_finite_p(value: float) -> None:
    outcomes = np.where(STAGED, value, np.nan)
    one = s.staged_leak(
        outcomes, np.roll(STAGED, 1, axis=0) & STAGED, compared=(1, 2), comparisons=2
    )
    assert isfinite(one.p) and one.p > 0.05
    assert all(isfinite(number) for number in (one.share, *one.interval, one.visible))


def test_a_comparison_without_information_states_nothing() -> None:
    seen = np.ones((1, 200), bool)
    one = s.staged_leak(np.ones((1, 200)), seen, compared=(0,), comparisons=1)
    assert (one.share, tuple(one.interval), one.p, one.visible) == (0.0, (-1.0, 1.0), 0.5, 1.0)


def test_easiness_needs_some_models() -> None:
    others = np.eye(FEWEST_MODELS)
    assert s.easiness(others[1:]) is None
    assert s.easiness(others) is None, "all items are as easy"
    others[0] = 1.0
    easy = s.easiness(others)
    assert easy is not None and easy.mean() == pytest.approx(0) and easy.argmin() == 0
