"""Rank sets: brute force on small boards, the invariants of the note, coverage, and boards with missing blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.ranksets import check_outcomes, sets_from, significantly_better

Floats = NDArray[np.float64]
DRAWS = 200


def board(
    models: int, items: int, seed: int, *, spread: float = 1.0, missing: bool = False
) -> Floats:
    rng = np.random.default_rng(seed)
    skill, difficulty = spread * rng.normal(size=(models, 1)), rng.normal(size=items)
    outcomes = (rng.random((models, items)) < 1 / (1 + np.exp(difficulty - skill))).astype(float)
    if missing:
        outcomes[: models // 2, : items // 3] = np.nan
        outcomes[-1, items // 2 :] = np.nan
    return outcomes


def brute(outcomes: Floats, level: float, seed: int, draws: int) -> list[tuple[int, int]]:
    """Pair by pair and draw by draw, from the definition."""
    p, n = outcomes.shape
    multipliers = np.random.default_rng(seed).standard_normal((draws, n))
    statistic, drawn = {}, {}
    for j in range(p):
        for k in range(p):
            both = np.isfinite(outcomes[j]) & np.isfinite(outcomes[k])
            difference = (outcomes[j] - outcomes[k])[both]
            apart = (difference != 0).sum()
            if j != k and apart:
                statistic[j, k] = difference.sum() / apart**0.5
                drawn[j, k] = multipliers[:, both] @ (difference - difference.mean()) / apart**0.5
    left, better = set(statistic), np.zeros((p, p), dtype=int)
    while left:
        largest = np.sort(np.max([drawn[pair] for pair in left], axis=0))
        critical = max(largest[min(int(np.ceil(level * (draws + 1))), draws) - 1], 0)
        new = {pair for pair in left if statistic[pair] > critical}
        if not new:
            break
        for pair in new:
            better[pair] = 1
        left -= new
    return [(1 + int(better[:, j].sum()), p - int(better[j].sum())) for j in range(p)]


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_as_brute_force_says(seed: int, *, missing: bool) -> None:
    outcomes = board(6, 150, seed, missing=missing)
    found = s.rank_sets(outcomes, 0.9, np.random.default_rng(seed), DRAWS)
    # The multipliers of the shipped code are drawn in one block, as here.
    assert [tuple(one) for one in found] == brute(outcomes, 0.9, seed, DRAWS)


@settings(max_examples=25)
@given(st.integers(2, 12), st.integers(20, 200), st.integers(0, 10**6))
def test_invariants(models: int, items: int, seed: int) -> None:
    """Stepdown lies within single-step, 1 <= low <= rank <= high <= models."""
    outcomes = board(models, items, seed)
    scores = outcomes.mean(axis=1)
    found = s.rank_sets(outcomes, 0.95, seed, DRAWS)
    rng = np.random.default_rng(seed)
    single = sets_from(significantly_better(outcomes, 0.95, rng, DRAWS, stepdown=False))
    for model, (low, high) in enumerate(found):
        assert 1 <= low <= 1 + (scores > scores[model]).sum()
        assert models - (scores < scores[model]).sum() <= high <= models
        assert single[model].low <= low <= high <= single[model].high


def test_all_true_ranks_are_covered_at_once() -> None:
    """Eight models in two tied pairs and four apart, 300 boards: every true rank in its set in at least 95% less noise."""
    skill = np.array([2.0, 1.0, 1.0, 0.5, 0.0, 0.0, -0.5, -1.5])
    rng, covered = np.random.default_rng(7), 0
    for _ in range(300):
        difficulty = rng.normal(size=300)
        outcomes = (rng.random((8, 300)) < 1 / (1 + np.exp(difficulty - skill[:, None]))).astype(
            float
        )
        sets = s.rank_sets(outcomes, 0.95, rng, DRAWS)
        best = [1 + (skill > one).sum() for one in skill]
        worst = [8 - (skill < one).sum() for one in skill]
        # A tied model may stand anywhere in its band; its set has to reach over it.
        covered += all(
            low <= b and w <= high for (low, high), b, w in zip(sets, best, worst, strict=True)
        )
    assert covered / 300 > 0.95 - 2 * (0.05 * 0.95 / 300) ** 0.5


def test_models_far_apart_have_one_rank_and_equal_ones_a_band() -> None:
    outcomes = np.zeros((4, 200))
    outcomes[0, :180], outcomes[1, :100], outcomes[2, 80:180] = 1, 1, 1
    assert s.rank_sets(outcomes) == [(1, 1), (2, 3), (2, 3), (4, 4)]


def test_a_model_on_other_items_is_compared_where_they_meet() -> None:
    """The second model got only the hard half; on it, it is as good as the first, though its mean is lower."""
    hard, easy = np.r_[np.ones(60), np.zeros(140)], np.ones(200)
    outcomes = np.stack([np.r_[hard, easy], np.r_[hard, np.full(200, np.nan)]])
    assert s.rank_sets(outcomes) == [(1, 2), (1, 2)]


def test_the_seed_decides_and_nothing_else_does() -> None:
    outcomes = board(20, 300, 3)
    np.random.default_rng(0).random(10)
    assert (
        s.rank_sets(outcomes)
        == s.rank_sets(outcomes, 0.95, 0)
        == s.rank_sets(outcomes, rng=np.random.default_rng(0))
    )


def test_empty_boards_and_lonely_models() -> None:
    assert s.rank_sets(np.empty((0, 5))) == []
    assert s.rank_sets([[1, 0, float("nan")]]) == [(1, 1)]


@pytest.mark.parametrize("wrong", [[[-0.5, 1.0]], [1.0, 0.0], [[2, 1]]])
def test_other_values_are_refused(wrong: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="outcomes"):
        check_outcomes(wrong)
