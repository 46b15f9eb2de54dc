"""Stages of a set: whole exposed blocks, those of the seasons first, each part large enough."""

from dataclasses import replace

import pytest

from evaluator import policy
from evaluator.errors import Code, EvaluatorError
from evaluator.sealing.allocation import Shares, fits, plan, plan_stages
from evaluator.sealing.recipients import Recipients
from tests.leaderboard import sealed

SIZES = (*range(100, 1500, 61), 1250)


def stages_of(n: int, shares: Shares) -> tuple[tuple[int, ...], ...]:
    blocks, seasons = plan(n, shares)
    return plan_stages(blocks, seasons, shares)


def test_a_usual_set_has_three_stages_that_begin_with_the_seasons() -> None:
    assert stages_of(1250, Shares()) == ((6, 7), (0, 1, 2), (3, 4, 5))


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("blocks", [1, 2, 4, 8])
def test_each_part_of_each_stage_is_a_cell(n: int, blocks: int) -> None:
    shares = Shares(blocks=blocks, cell=36)
    if not fits(n, shares):
        return
    planned, seasons = plan(n, shares)
    stages = plan_stages(planned, seasons, shares)
    made = sealed.seal(blocks=planned, seasons=seasons, stages=stages).manifest
    sizes = [sum(block.n for block in part) for part in made.parts() if part[0].stratum != "spare"]
    assert min(sizes) >= 36
    if stages:
        every = [block for stage in stages for block in stage]
        assert sorted(every) == list(made.block_ids(("exposed",)))


def test_one_stage_asks_all_at_once() -> None:
    assert stages_of(1250, Shares(stages=1)) == ()


@pytest.mark.parametrize("stages", [-1, 0, 9])
def test_stages_that_do_not_fit_are_refused(stages: int) -> None:
    with pytest.raises(EvaluatorError) as caught:
        stages_of(1250, Shares(stages=stages))
    assert caught.value.code is Code.ALLOCATION_INVALID


def test_a_part_below_the_minimum_cell_size_is_refused_and_never_chosen() -> None:
    shares = Shares(blocks=5, seasons=0)
    assert stages_of(600, shares) == ((0, 1), (2, 3, 4))
    with pytest.raises(EvaluatorError):
        stages_of(600, replace(shares, stages=3))


def test_a_listed_endpoint_may_be_shown_every_stage_and_is_asked_those_until_one() -> None:
    manifest = sealed.seal(stages=((6, 7), (0, 1, 2), (3, 4, 5))).manifest
    asked = [policy.blocks("T1", manifest, season=0, stage=stage) for stage in range(4)]
    assert asked == [(6, 7), (0, 1, 2, 6, 7), tuple(range(8)), tuple(range(8))]
    assert Recipients(season=0).blocks("T1", manifest) == tuple(range(8))
    assert policy.blocks("T0", manifest, season=0, stage=0) == tuple(range(9))
    assert policy.blocks("T2", manifest, season=1, stage=0) == (7,)
