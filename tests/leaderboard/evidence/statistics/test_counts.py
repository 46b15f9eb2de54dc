"""What counts alone allow: cautious ranks, a panel of peers, shared errors."""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from bench import recorded
from leaderboard.evidence.statistics import Sides, adjusted_gap, family_gap, holm, rank_sets
from leaderboard.evidence.statistics.counts import (
    SHARED_ERRORS,
    curve,
    gap_covariance,
    order_changes,
    peer_covariance,
    peers,
    rank_ranges,
    two_sided,
)

N = 1200


def world(rng: np.random.Generator, m: int, *, over: bool = False) -> list[Sides]:
    x = np.linspace(-1.5, 2, m)
    y = x + 0.3 + np.where(over & (np.arange(m) % 5 == 0), 0.6, 0.0)
    return [
        Sides(int(a), N, int(b), N)
        for a, b in zip(rng.binomial(N, expit(y)), rng.binomial(N, expit(x)), strict=True)
    ]


def families(m: int) -> list[str]:
    return [f"family {i % 7}" for i in range(m)]


def test_ranks_by_hand() -> None:
    assert rank_ranges([(90, 100), (10, 100), (50, 100)]) == [(1, 1), (3, 3), (2, 2)]
    assert rank_ranges([(50, 100), (51, 100)]) == [(1, 2), (1, 2)]
    assert rank_ranges([(0, 10), (0, 10)]) == [(1, 2), (1, 2)]
    assert rank_ranges([]) == []
    assert rank_ranges([(1, 2)]) == [(1, 1)]


def test_ranks_are_those_of_all_pairs_tested_one_by_one() -> None:
    shares = [(530, 1000), (500, 1000), (455, 1000), (440, 900), (300, 1000)]
    pairs = [(i, j) for i in range(5) for j in range(i)]
    p = []
    for i, j in pairs:
        (k1, n1), (k2, n2) = shares[i], shares[j]
        q = (k1 + k2) / (n1 + n2)
        se = np.sqrt(q * (1 - q) * (1 / n1 + 1 / n2) * (n1 + n2) / (n1 + n2 - 1))
        p.append(2 * norm.sf(abs(k1 / n1 - k2 / n2) / se))
    low, high = [1] * 5, [5] * 5
    for (i, j), adjusted in zip(pairs, holm(p), strict=True):
        if adjusted <= 0.05:
            better, worse = (
                (i, j) if shares[i][0] / shares[i][1] > shares[j][0] / shares[j][1] else (j, i)
            )
            low[worse] += 1
            high[better] -= 1
    assert rank_ranges(shares) == list(zip(low, high, strict=True))


def test_ranks_are_no_narrower_than_those_from_the_items_themselves() -> None:
    rng = np.random.default_rng(3)
    easy = rng.normal(0, 1.5, 800)
    outcomes = (rng.random((8, 800)) < expit(np.linspace(-1, 1, 8)[:, None] + easy)).astype(float)
    cautious = rank_ranges([(int(row.sum()), 800) for row in outcomes])
    for (low, high), (inner_low, inner_high) in zip(
        cautious, rank_sets(outcomes, rng=1), strict=True
    ):
        assert low <= inner_low <= inner_high <= high


@pytest.mark.parametrize("shares", [[(1, 0)], [(3, 2)], [(-1, 2)]])
def test_shares_that_cannot_be_have_no_rank(shares: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="share"):
        rank_ranges(shares)


def test_each_row_is_compared_with_other_families_only() -> None:
    models = world(np.random.default_rng(0), 20)
    found = peers(models, families(20))
    for i in range(20):
        others = [j for j in range(20) if j % 7 != i % 7]
        lineages = [j % 7 for j in others]
        expected = adjusted_gap(models[i], [models[j] for j in others], lineages=lineages)
        assert found.gaps[i] == (None if found.outside[i] else expected)
    assert sum(found.outside) <= 1
    assert set(found.used) | set(found.put_aside) == set(range(20))


def test_a_panel_that_is_too_small_gives_no_gap() -> None:
    found = peers(world(np.random.default_rng(0), 7), families(7))
    assert (found.panel, found.used, found.gaps) == (None, (), (None,) * 7)
    nine = peers(world(np.random.default_rng(0), 9), ["one"] * 2 + [f"f{i}" for i in range(7)])
    assert nine.panel is not None
    assert [gap is None for gap in nine.gaps] == [True] * 2 + [False] * 7


def test_models_at_the_floor_and_the_ceiling_are_no_references_and_are_not_tested() -> None:
    models = [*world(np.random.default_rng(0), 20), Sides(20, N, 20, N), Sides(N, N, N - 5, N)]
    found = peers(models, [*families(20), "low", "high"])
    assert found.gaps[20:] == (None, None)
    assert max(found.used) < 20


def test_a_row_that_no_reference_is_like_is_not_tested() -> None:
    models = world(np.random.default_rng(0), 24)
    found = peers(models, [f"f{i}" for i in range(24)], known=range(10))
    assert found.gaps[23] is None
    assert not any(found.outside[:10])
    assert all(found.outside[12:])


def test_references_known_from_elsewhere_are_the_panel() -> None:
    models = world(np.random.default_rng(0), 24)
    alone = [f"f{i}" for i in range(24)]
    found = peers(models, alone, known=range(0, 24, 2))
    assert set(found.used) | set(found.put_aside) == set(range(0, 24, 2))
    assert found.gaps[15] == adjusted_gap(models[15], models[::2])
    assert peers(models, alone, known=range(7)).gaps == peers(models, alone).gaps


def test_a_harder_set_flags_no_clean_model_and_overfitted_ones_are_found() -> None:
    """Without the panel each of these clean models would be accused: the raw gap is 5 to 8 points."""
    rng = np.random.default_rng(5)
    clean = [
        float(min(holm([gap.p for gap in peers(world(rng, 30), families(30)).gaps if gap])))
        for _ in range(8)
    ]
    assert sum(p <= 0.05 for p in clean) <= 1
    found = peers(world(rng, 30, over=True), families(30))
    flagged = holm([gap.p for gap in found.gaps if gap]) <= 0.05
    assert flagged.sum() >= 3
    assert not flagged[[i for i in range(30) if i % 5]].any()


def test_a_family_s_errors_share_the_curve() -> None:
    models = world(np.random.default_rng(0), 20)
    panel = peers(models, families(20)).panel
    assert panel is not None
    shared = peer_covariance(panel, models[:4])
    alone = gap_covariance(models[:4])
    errors = np.sqrt(np.diag(alone))
    assert alone[0, 1] == pytest.approx(SHARED_ERRORS * errors[0] * errors[1])
    k, n = models[0].public_right, models[0].public_n
    assert alone[0, 0] == pytest.approx(2 * (k / n) * (1 - k / n) / n, rel=0.15)
    assert shared[0, 1] > 0
    assert np.all(np.linalg.eigvalsh(shared) > 0)
    assert np.diag(shared)[1] == pytest.approx(np.diag(peer_covariance(panel, [models[1]]))[0])


@pytest.mark.data
def test_mean_of_models_that_answered_the_same_items_is_covered(data_dir: Path) -> None:
    """Random halves of real outcomes have no gap: its interval should miss zero 1 time in 20."""
    marks = recorded.outcomes(data_dir)
    rng = np.random.default_rng(2)
    missed = {"independent": 0, "shared": 0}
    draws = 300
    for _ in range(draws):
        public, private = recorded.halves(marks, rng)
        chosen = rng.permutation(len(marks))[:10]
        members = [
            Sides(int(public[i].sum()), public.shape[1], int(private[i].sum()), private.shape[1])
            for i in chosen
        ]
        gaps = [m.public_right / m.public_n - m.private_right / m.private_n for m in members]
        shared = gap_covariance(members)
        for name, covariance in (("shared", shared), ("independent", np.diag(np.diag(shared)))):
            interval = family_gap(gaps, covariance).interval
            assert interval is not None
            missed[name] += not interval.low <= 0 <= interval.high
    assert missed["independent"] > 0.17 * draws
    assert missed["shared"] < 0.08 * draws


def test_the_curve_is_what_the_panel_expects() -> None:
    models = world(np.random.default_rng(0), 20)
    panel = peers(models, families(20)).panel
    assert panel is not None
    low, high = curve(panel, [0.3, 0.6])
    assert 0.3 < low < high < 0.8


def test_pairs_that_change_places() -> None:
    assert order_changes([1, 2, 3, 3], [1, 3, 2, 5]) == (1, 5)
    assert order_changes([], []) == (0, 0)


def test_two_sided_p() -> None:
    assert two_sided(1.959964) == pytest.approx(0.05, abs=1e-6)
    assert two_sided(-4.0) == two_sided(4.0) == pytest.approx(2 * norm.sf(4))
