"""Two models compared on hard, middling and easy items."""

import itertools

import numpy as np
import pytest

from leaderboard.evidence.statistics.difficulty import FEWEST_OTHERS, by_difficulty
from leaderboard.evidence.statistics.paired import gap_change, paired

ITEMS = 90


def graded(share_of_items: float) -> list[float]:
    """Outcomes of a model that has the first items right."""
    right = round(share_of_items * ITEMS)
    return [1.0] * right + [0.0] * (ITEMS - right)


def test_thirds_by_the_share_of_other_models() -> None:
    others = np.array([graded(share) for share in (0.9, 0.7, 0.5, 0.3, 0.1)])
    first = np.array([1.0] * ITEMS)
    second = np.array([1.0] * 80 + [0.0] * 10)
    groups = by_difficulty(first, second, others)
    assert [group.name for group in groups] == ["hard", "middling", "easy"]
    assert sum(group.result.n for group in groups) == ITEMS
    assert all(one.high < other.low for one, other in itertools.pairwise(groups))
    assert [group.result.wins for group in groups] == [10, 0, 0], "the last items are the hardest"
    assert groups[0].result == paired(first[-groups[0].result.n :], second[-groups[0].result.n :])


def test_equally_easy_items_stay_together() -> None:
    others = np.array([[1.0] * 60 + [0.0] * 30] * FEWEST_OTHERS)
    groups = by_difficulty(np.ones(ITEMS), np.zeros(ITEMS), others)
    assert [(group.name, group.result.n) for group in groups] == [("hard", 30), ("easy", 60)]
    alike = by_difficulty(np.ones(ITEMS), np.zeros(ITEMS), np.ones((FEWEST_OTHERS, ITEMS)))
    assert [(group.name, group.result.n) for group in alike] == [("middling", ITEMS)]


def test_too_few_others_say_nothing_about_an_item() -> None:
    others = np.array([graded(0.5)] * (FEWEST_OTHERS - 1))
    assert by_difficulty(np.ones(ITEMS), np.zeros(ITEMS), others) == ()
    assert by_difficulty(np.ones(ITEMS), np.zeros(ITEMS), np.array([])) == ()


def test_items_without_an_outcome_are_left_out() -> None:
    others = np.array([graded(share) for share in (0.9, 0.7, 0.5, 0.3, 0.1)])
    others[:, 0] = np.nan
    first = np.ones(ITEMS)
    first[1] = np.nan
    groups = by_difficulty(first, np.zeros(ITEMS), others)
    assert sum(group.result.n for group in groups) == ITEMS - 2
    assert by_difficulty(np.full(ITEMS, np.nan), first, others) == ()


def test_two_equal_models_differ_on_no_third_more_often_than_the_level() -> None:
    """The thirds are made without the two models, so luck of one puts no item on its side."""
    rng = np.random.default_rng(7)
    hard = rng.uniform(0.1, 0.9, size=300)
    found = 0
    for _ in range(300):
        outcomes = (rng.uniform(size=(12, 300)) < hard).astype(float)
        groups = by_difficulty(outcomes[0], outcomes[1], outcomes[2:])
        found += sum(group.result.p <= 0.05 for group in groups)
    assert found / 900 < 0.06


def test_interval_of_a_change_of_the_gap_covers_it() -> None:
    """A parent of .6 on both sets and a child of .8 and .65: its gap is .15 larger."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        sides = []
        for child in (0.8, 0.65):
            ease = rng.uniform(size=400)
            parent = ease < 0.6
            moved = rng.uniform(size=400) < 0.1
            one = (ease < child) ^ (moved & (rng.uniform(size=400) < 0.5))
            sides.append((paired(one, parent), one.mean() - parent.mean()))
        (public, _), (private, _) = sides
        low, high = gap_change(
            public.difference, public.interval, private.difference, private.interval
        )
        truth = true_change()
        covered += low <= truth <= high
    assert covered / 400 > 0.92


def true_change() -> float:
    """Expected change of the gap: each flipped item moves a share towards one half."""
    return (0.8 * 0.95 + 0.2 * 0.05) - (0.65 * 0.95 + 0.35 * 0.05)


def test_change_of_the_gap_is_no_change_for_equal_models() -> None:
    same = paired([1, 0, 1], [1, 0, 1])
    low, high = gap_change(same.difference, same.interval, same.difference, same.interval)
    assert low == pytest.approx(-high)
