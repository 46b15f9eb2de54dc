"""McNemar's exact test against sums of the binomial distribution, and the coverage of the interval."""

from math import comb

import numpy as np
import pytest

from leaderboard.evidence.statistics.paired import paired


def outcomes(wins: int, losses: int, both: int, neither: int) -> tuple[list[int], list[int]]:
    first = [1] * wins + [0] * losses + [1] * both + [0] * neither
    second = [0] * wins + [1] * losses + [1] * both + [0] * neither
    return first, second


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (5, 1), (1, 5), (12, 30), (40, 40)])
def test_p_is_the_two_sided_binomial_sum(wins: int, losses: int) -> None:
    found = paired(*outcomes(wins, losses, 50, 20))
    m, most = wins + losses, max(wins, losses)
    tail = sum(comb(m, k) for k in range(most, m + 1)) / 2**m
    assert found.p == pytest.approx(min(1.0, 2 * tail))
    assert (found.wins, found.losses, found.n) == (wins, losses, m + 70)
    assert found.difference == pytest.approx((wins - losses) / found.n)
    assert found.interval.low < found.difference + 1e-9 < found.interval.high + 2e-9


def test_items_that_one_model_was_not_asked_do_not_count() -> None:
    first = [1, 0, np.nan, 1, 1]
    second = [0, 0, 1, np.nan, 1]
    found = paired(first, second)
    assert (found.n, found.wins, found.losses) == (3, 1, 0)


def test_swapping_the_models_turns_the_sign() -> None:
    first, second = outcomes(30, 12, 100, 58)
    one, other = paired(first, second), paired(second, first)
    assert other.p == one.p and other.difference == -one.difference
    assert other.interval == pytest.approx((-one.interval.high, -one.interval.low))


def test_the_interval_covers_and_the_test_holds_its_level() -> None:
    rng = np.random.default_rng(7)
    covered = rejected = 0
    for _ in range(1000):
        ability = rng.random(200)
        first, second = (rng.random(200) < ability for _ in range(2))
        found = paired(first, second)
        covered += found.interval.low <= 0 <= found.interval.high
        rejected += found.p <= 0.05
    assert covered >= 930
    assert rejected <= 65


@pytest.mark.parametrize(
    ("first", "second"), [([1, 0], [1]), ([[1]], [[1]]), ([np.nan], [1]), ([], [])]
)
def test_what_cannot_be_compared(first: object, second: object) -> None:
    with pytest.raises(ValueError, match="paired comparison needs"):
        paired(first, second)  # type: ignore[arg-type]
