"""Order of a plan: both sides derive the same, from counts and a seed alone."""

import numpy as np
import pytest

from evaluator.contract import UNPLANNED, item_order, tie_places
from evaluator.errors import EvaluatorError
from leaderboard.evidence.statistics import adaptive

SEED = "5e" * 32


def test_order_is_that_of_the_statistics() -> None:
    rng = np.random.default_rng(2)
    public = (rng.random((12, 200)) < 0.7).astype(float)
    private = (rng.random((12, 150)) < rng.random(150)).astype(float)
    own = (rng.random(200) < 0.6).astype(float)
    ties = tie_places(150, SEED)
    procedure = adaptive.procedure(public, private, (own, np.full(150, np.nan)), ties=ties)
    order = item_order(
        public.sum(axis=0).astype(int).tolist(),
        private.sum(axis=0).astype(int).tolist(),
        right=int(own.sum()),
        references=12,
        seed=SEED,
    )
    assert order == [place - 200 for place in procedure.order[-1]]


def test_items_outside_the_plan_are_left_out() -> None:
    private = [3, UNPLANNED, 1, UNPLANNED, 2]
    order = item_order([1, 2, 3], private, right=1, references=4, seed=SEED)
    assert sorted(order) == [0, 2, 4]


def test_equally_informative_items_are_in_the_order_of_the_seed() -> None:
    first, second = (
        item_order([2] * 4, [2] * 50, right=2, references=4, seed=seed)
        for seed in (SEED, "6f" * 32)
    )
    assert first != second
    assert sorted(first) == sorted(second) == list(range(50))


@pytest.mark.parametrize(
    ("public", "private", "right"), [([], [1], 0), ([9], [1], 0), ([1], [9], 0), ([1], [1], 2)]
)
def test_impossible_counts_are_refused(public: list[int], private: list[int], right: int) -> None:
    with pytest.raises(EvaluatorError):
        item_order(public, private, right=right, references=4, seed=SEED)
