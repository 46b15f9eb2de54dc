"""Which references are put aside: all triples, one-sidedness, and clean panels left whole."""

from itertools import combinations

import numpy as np
import pytest

from bench.worlds import World, draw
from leaderboard.evidence.statistics import Sides, fit_panel
from leaderboard.evidence.statistics.contamination import contaminated, triples
from leaderboard.evidence.statistics.logits import logits


def panel(world: World, seed: int) -> list[Sides]:
    return [Sides(*one) for one in draw(world, np.random.default_rng(seed)).counts()[:-1]]


@pytest.mark.parametrize("m", [3, 5, 9, 20])
def test_all_triples_are_listed_once(m: int) -> None:
    assert {tuple(one) for one in triples(m)} == set(combinations(range(m), 3))


def test_of_a_large_panel_an_even_choice_of_triples_is_taken() -> None:
    found = triples(60, most=500)
    assert len({tuple(one) for one in found}) == 500
    assert np.all((found[:, 0] < found[:, 1]) & (found[:, 1] < found[:, 2]))
    assert np.bincount(found.ravel(), minlength=60).min() > 5


def test_clean_panels_are_left_nearly_whole() -> None:
    for world in (
        World("clean", harder=0.3),
        World("quirks", harder=0.3, quirk=0.1),
        World("eight", references=8),
    ):
        assert np.mean([len(fit_panel(panel(world, i)).put_aside) for i in range(40)]) < 0.6


def test_contaminated_ones_are_found_and_they_alone() -> None:
    world = World("dirty", harder=0.3, dirty=4, dirty_by=0.6)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        references = [Sides(*one) for one in draw(world, rng).counts()[:-1]]
        rng = np.random.default_rng(seed)
        rng.uniform(size=20), rng.uniform(), rng.standard_normal((21, 1)), rng.standard_normal(21)
        truth = set(rng.choice(20, 4, replace=False).tolist())
        found = set(fit_panel(references).put_aside)
        assert len(found ^ truth) <= 2


def test_a_reference_that_does_worse_on_the_public_set_stays() -> None:
    references = panel(World("clean"), 1)
    low = references[7]
    references[7] = low._replace(public_right=max(low.public_right - 150, 0))
    assert not contaminated(logits(references))[7]


def test_none_of_four_references_is_put_aside() -> None:
    assert not contaminated(logits(panel(World("clean"), 1)[:4])).any()


def test_moving_the_whole_panel_puts_none_aside() -> None:
    """Contamination of all is no contamination that a panel can show: the page says so."""
    references = [
        one._replace(public_right=min(one.public_right + 66, one.public_n))
        for one in panel(World("c"), 2)
    ]
    assert len(fit_panel(references).put_aside) <= 1
