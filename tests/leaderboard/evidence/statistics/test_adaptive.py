"""Adaptive test: what it asks, when it ends, and that it depends on nothing that is not asked."""

from dataclasses import replace

import numpy as np
import pytest

from bench.worlds import Sample, World, draw
from leaderboard.evidence.statistics import adaptive
from leaderboard.evidence.statistics.adaptive import Look, decide

SMALL = World("small", harder=0.3, references=12, public_n=300, private_n=300)


def procedure_of(sample: Sample) -> adaptive.Procedure:
    return adaptive.procedure(
        sample.public[:-1],
        sample.private[:-1],
        (sample.public[-1], sample.private[-1]),
        sample.lineages,
    )


@pytest.fixture(scope="module")
def overfit() -> Sample:
    return draw(replace(SMALL, overfit=1.2), np.random.default_rng(3))


def test_overfitted_model_is_found_from_a_part_of_the_items(overfit: Sample) -> None:
    looks = procedure_of(overfit).looks()
    outcome = decide(looks, 0.01)
    assert outcome.found
    assert [look.asked for look in looks] == [24, 45, 75, 105]


def test_no_answer_to_an_item_that_was_not_asked_is_used(overfit: Sample) -> None:
    procedure = procedure_of(overfit)
    before = procedure.look(24)
    unasked = procedure.order[-1, 24:]
    outcomes = procedure.outcomes.copy()
    outcomes[-1, unasked] = np.nan
    unknown = replace(procedure, outcomes=outcomes)
    assert unknown.look(24) == before
    assert unknown.planned_information(105) == procedure.planned_information(105)


def test_order_depends_on_public_answers_only(overfit: Sample) -> None:
    flipped = replace(overfit, private=overfit.private.copy())
    flipped.private[-1] = 1 - flipped.private[-1]
    assert np.array_equal(procedure_of(flipped).order[-1], procedure_of(overfit).order[-1])


def test_each_private_item_is_asked_once_and_the_most_informative_first(overfit: Sample) -> None:
    procedure = procedure_of(overfit)
    n1 = overfit.public.shape[1]
    order = procedure.order[-1]
    assert sorted(order) == list(range(n1, n1 + 300))
    ease = adaptive.easiness(procedure.right[-1], procedure.others[-1])
    ability = np.log(overfit.public[-1].sum() / (n1 - overfit.public[-1].sum()))
    distance = np.abs(ease[order] + ability)
    assert distance[:50].mean() < distance[100:150].mean() < distance[250:].mean()


def test_model_with_every_public_item_right_has_a_finite_test() -> None:
    sample = draw(replace(SMALL, knows_all=True, ability=1.5), np.random.default_rng(4))
    looks = procedure_of(sample).looks()
    assert np.isfinite([look.z for look in looks]).all()
    assert decide(looks, 0.01).found


def test_gap_lies_in_its_interval_whatever_the_order_of_equally_informative_items() -> None:
    """Without shorter Newton steps the fit at a far contrast diverges for the eighth order."""
    sample = draw(replace(SMALL, private_n=320, overfit=1.5, ability=0.5), np.random.default_rng(3))
    for seed in range(10):
        procedure = adaptive.procedure(
            sample.public[:-1],
            sample.private[:-1, :300],
            (sample.public[-1], sample.private[-1, :300]),
            ties=np.random.default_rng(seed).permutation(300).tolist(),
        )
        gap = procedure.gap(75)
        assert gap.interval[0] < gap.gap < gap.interval[1]
        assert 0.1 < gap.gap < 0.5


@pytest.mark.parametrize(
    ("z", "ending"),
    [
        ([-0.1, 9, 9, 9], (False, 0)),
        ([0.1, 0.2, 9, 9], (False, 1)),
        ([0.1, 0.4, 0.5, 9], (False, 2)),
        ([0.1, 0.4, 0.7, 0.0], (False, 3)),
        ([0.1, 0.4, 0.7, 1.9], (True, 3)),
        ([9, -9, -9, -9], (True, 0)),
    ],
)
def test_ends_at_a_bound_or_for_futility(z: list[float], ending: tuple[bool, int]) -> None:
    looks = [Look(asked=k, z=value, p=0.5, information=k + 1.0) for k, value in enumerate(z)]
    assert decide(looks, 0.05) == ending


@pytest.mark.slow
def test_size_and_exposure_of_clean_models() -> None:
    rng = np.random.default_rng(9)
    world = replace(SMALL, public_n=700, private_n=650, references=20)
    outcomes = [decide(procedure_of(draw(world, rng)).looks(), 0.05) for _ in range(60)]
    shown = np.mean([adaptive.SHARES[outcome.look] for outcome in outcomes])
    assert sum(outcome.found for outcome in outcomes) <= 8  # .05 and three standard errors
    assert shown < 0.2
