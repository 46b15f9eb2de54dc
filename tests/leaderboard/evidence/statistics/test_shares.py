"""Shares of several samples as outcomes: single ones are a special case; the error is smaller."""

import numpy as np
import pytest
from scipy.special import expit

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.pairwise import Floats, discordances, pairwise_sets

SAMPLES = 4
N = 900


def panel(rng: np.random.Generator, ease: Floats) -> Floats:
    """Twelve references' single outcomes on ``ease``."""
    ability = np.linspace(-1.0, 1.5, 12)
    return (rng.random((12, len(ease))) < expit(ability[:, None] + ease)).astype(float)


def target(rng: np.random.Generator, ease: Floats, samples: int, lift: float = 0.0) -> Floats:
    """Shares of right samples; each item has a chance of its own besides its easiness."""
    own = rng.normal(0, 0.8, len(ease))
    chance = expit(0.3 + ease + own + lift)
    return rng.binomial(samples, chance) / samples


def sides(rng: np.random.Generator) -> tuple[Floats, Floats]:
    return rng.normal(0, 1.5, N), rng.normal(-0.2, 1.5, N)


def test_samples_that_all_agree_are_single_outcomes() -> None:
    rng = np.random.default_rng(1)
    public, private = sides(rng)
    references = (panel(rng, public), panel(rng, private))
    own = (target(rng, public, 1), target(rng, private, 1))
    single = s.item_gap(own, references)
    # One item with a share: all but it are single outcomes, so φ is near 1.
    nearly = (own[0].copy(), own[1])
    nearly[0][0] = 0.5
    shared = s.item_gap(nearly, references)
    assert shared.se == pytest.approx(single.se, rel=0.05)
    assert shared.gap == pytest.approx(single.gap, abs=0.002)


def test_the_error_is_what_repeated_draws_show() -> None:
    """Draw the samples of one model again and again: t is as wide as it is said to be."""
    rng = np.random.default_rng(2)
    public, private = sides(rng)
    references = s.item_panel(panel(rng, public), panel(rng, private), robust=False)
    t: dict[int, list[float]] = {1: [], SAMPLES: []}
    visible: dict[int, list[float]] = {1: [], SAMPLES: []}
    for _ in range(150):
        for samples, values in t.items():
            own = [target(rng, ease, samples) for ease in (public, private)]
            gap = s.item_gap_against(references, *own)
            values.append(gap.t)
            visible[samples].append(gap.visible_at(0.01))
    for values in t.values():
        assert 0.6 < np.std(values) < 1.15, "never too small an error"
    ratio = np.mean(visible[SAMPLES]) / np.mean(visible[1])
    assert 0.55 < ratio < 0.8


def test_references_may_have_shares_too() -> None:
    rng = np.random.default_rng(3)
    public, private = sides(rng)
    ability = np.linspace(-1.0, 1.5, 12)

    def shares(ease: Floats) -> Floats:
        return rng.binomial(SAMPLES, expit(ability[:, None] + ease)) / SAMPLES

    references = (shares(public), shares(private))
    own = (target(rng, public, SAMPLES, lift=0.6), target(rng, private, SAMPLES))
    gap = s.item_gap(own, references)
    assert gap.p < 1e-3
    assert gap.interval.low < gap.gap < gap.interval.high


def test_ranks_are_by_the_differences_of_shares() -> None:
    rng = np.random.default_rng(4)
    matrix = rng.binomial(SAMPLES, 0.6, (5, 200)) / SAMPLES
    matrix[0, :20] = np.nan
    wins, common = discordances(matrix)
    for j in range(5):
        for k in range(5):
            both = np.isfinite(matrix[j]) & np.isfinite(matrix[k])
            difference = matrix[j, both] - matrix[k, both]
            assert wins[j, k] - wins[k, j] == pytest.approx(difference.sum())
            assert wins[j, k] + wins[k, j] == pytest.approx((difference**2).sum())
            assert common[j, k] == both.sum()


@pytest.mark.parametrize("missing", [False, True])
def test_many_models_with_shares_stand_by_the_same_statistic(missing: bool) -> None:
    rng = np.random.default_rng(5)
    matrix = rng.binomial(SAMPLES, np.linspace(0.3, 0.8, 12)[:, None], (12, 300)) / SAMPLES
    if missing:
        matrix[::2, :30] = np.nan
    better = pairwise_sets(matrix, 0.95)
    worst_first = [int(low) for low, _ in better]
    assert worst_first[0] > 8 and worst_first[-1] == 1
    wins, _ = discordances(matrix)
    z = (wins - wins.T) / np.sqrt(np.maximum(wins + wins.T, 1))
    # Nobody is ranked apart whose statistic is below the smallest threshold.
    assert all(low == 1 for (low, _), row in zip(better, z, strict=True) if row.min() > -1.96)


def test_outcomes_above_one_are_refused() -> None:
    single = (np.random.default_rng(6).random((8, 150)) < 0.6).astype(float)
    with pytest.raises(ValueError, match="from 0 to 1"):
        s.rank_sets(single * 1.01)
