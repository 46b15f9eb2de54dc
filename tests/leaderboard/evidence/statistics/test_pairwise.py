"""Beyond 300 models: the product of matrices against loops, Holm within a row, and the hand-over."""

import numpy as np
import pytest
from scipy.stats import norm

from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics.pairwise import discordances, pairwise_sets
from leaderboard.evidence.statistics.ranksets import EXACT_UP_TO

from .test_ranksets import board


@pytest.mark.parametrize("missing", [False, True])
def test_as_loops_with_holm_say(*, missing: bool) -> None:
    outcomes = board(15, 200, 1, missing=missing)
    expected = []
    for j in range(15):
        z = []
        for k in range(15):
            both = np.isfinite(outcomes[j]) & np.isfinite(outcomes[k])
            b, c = (
                ((outcomes[a] == 1) & (outcomes[o] == 0) & both).sum() for a, o in ((j, k), (k, j))
            )
            z.append((b - c) / max(b + c, 1) ** 0.5)
        others = [k for k in range(15) if k != j]
        p = s.holm([2 * norm.sf(abs(z[k])) for k in others])
        apart = [k for k, one in zip(others, p, strict=True) if one <= 0.05]
        expected.append((1 + sum(z[k] < 0 for k in apart), 15 - sum(z[k] > 0 for k in apart)))
    assert [tuple(row) for row in pairwise_sets(outcomes, 0.95)] == expected
    wins, common = discordances(outcomes)
    assert wins[0, 14] == np.nansum(outcomes[0] * (1 - outcomes[14]))
    assert common[0, 14] == np.isfinite(outcomes[0] + outcomes[14]).sum()


def test_more_models_than_all_pairs_can_carry_go_there() -> None:
    outcomes = board(EXACT_UP_TO + 1, 60, 2)
    found = s.rank_sets(outcomes)
    assert [tuple(one) for one in found] == [tuple(row) for row in pairwise_sets(outcomes, 0.95)]
    scores = outcomes.mean(axis=1)
    for score, (low, high) in zip(scores, found, strict=True):
        assert 1 <= low <= 1 + (scores > score).sum()
        assert len(scores) - (scores < score).sum() <= high <= len(scores)


def test_a_row_that_differs_from_all_others_comes_to_an_end() -> None:
    """The last step of Holm, at which nothing is left to reject."""
    outcomes = np.zeros((3, 200))
    outcomes[0], outcomes[1, :100] = 1, 1
    assert [tuple(row) for row in pairwise_sets(outcomes, 0.95)] == [(1, 1), (2, 2), (3, 3)]


def test_marginal_sets_cover_each_model() -> None:
    """A middle model among 30: its own set misses its true rank in at most 5% of boards, less noise."""
    skill = np.linspace(-1.5, 1.5, 31)[:, None]
    rng, covered = np.random.default_rng(5), 0
    for _ in range(300):
        outcomes = (rng.random((31, 250)) < 1 / (1 + np.exp(rng.normal(size=250) - skill))).astype(
            float
        )
        low, high = pairwise_sets(outcomes, 0.95)[15]
        covered += low <= 16 <= high
    assert covered / 300 > 0.925
