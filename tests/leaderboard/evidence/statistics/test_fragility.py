"""Fewest references that would change an evidence level."""

import numpy as np

from bench.worlds import World, draw
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics import AdjustedGap, Sides


def level(gap: AdjustedGap) -> str:
    return "overfit" if gap.p <= 0.05 else "no evidence"


def case(world: World, seed: int) -> tuple[Sides, list[Sides]]:
    *references, target = (Sides(*one) for one in draw(world, np.random.default_rng(seed)).counts())
    return target, references


def test_a_close_level_needs_few_references_and_a_clear_one_many() -> None:
    _, references = case(World("clean", harder=0.3), 1)
    base = Sides(800, 1319, 665, 1205)
    fewest = []
    for right in range(790, 900, 20):
        found = s.fewest_contaminated(base._replace(public_right=right), references, level)
        fewest.append(found)
    # From quiet to loud: first so many contaminated ones would have to be hidden, then so many more to mask it.
    quiet = [one.hidden for one in fewest if one.hidden is not None]
    assert quiet == sorted(quiet, reverse=True)
    assert quiet[-1] < quiet[0]
    assert fewest[-1].hidden is None


def test_the_level_changes_at_that_number_and_not_before() -> None:
    target, references = Sides(815, 1319, 665, 1205), case(World("clean", harder=0.3), 1)[1]
    before = level(s.adjusted_gap(target, references))
    found = s.fewest_contaminated(target, references, level)
    assert before == "no evidence"
    assert found.hidden is not None
    assert found.hidden > 1
    assert found.fewest == found.hidden
    for place, one in enumerate(references):
        alone = [
            *references[:place],
            one._replace(public_right=one.public_right - 66),
            *references[place + 1 :],
        ]
        assert level(s.adjusted_gap(target, alone)) == before


def test_a_level_that_nothing_changes() -> None:
    target, references = case(World("quirks", harder=0.3, overfit=0.15), 2)
    always = s.fewest_contaminated(target, references, lambda gap: "one level")
    assert (always.hidden, always.masked, always.fewest) == (None, None, None)
