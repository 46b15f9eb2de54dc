"""The bench of evidence: its worlds, its real halves, and what it prints."""

from pathlib import Path

import numpy as np
import pytest

from bench import recorded
from bench.evidence import Shares, agreement, main, next_to, worlds
from bench.worlds import World, draw


def test_names_of_worlds_differ_and_each_can_be_drawn() -> None:
    names = [line.name for line in worlds()]
    assert len(set(names)) == len(names) >= 30
    for line in worlds():
        sample = line.draw(np.random.default_rng(1), overfit=True)
        world = line.world
        assert sample.public.shape == (world.references + 1, world.public_n)
        assert sample.private.shape == (world.references + 1, world.private_n)
        assert len(set(sample.lineages)) == (world.lineages or world.references)
        assert (sample.public[-1].mean() == 1) == world.knows_all


def test_a_head_start_and_a_harder_set_show() -> None:
    rng = np.random.default_rng(2)
    samples = [draw(World("x", harder=0.5, overfit=0.5), rng) for _ in range(20)]
    gaps = [one.public.mean(axis=1) - one.private.mean(axis=1) for one in samples]
    references, target = np.mean([gap[:-1].mean() for gap in gaps]), np.mean([g[-1] for g in gaps])
    assert 0.05 < references < 0.12
    assert target > references + 0.05


def test_agreement_is_within_two_errors() -> None:
    assert agreement(0.88, 0.90, 200, is_power=True) == "="
    assert agreement(0.60, 0.90, 200, is_power=True) == "worse"
    assert agreement(0.99, 0.80, 200, is_power=True) == "better"
    assert agreement(0.01, 0.20, 200, is_power=False) == "better"
    assert agreement(0.5, float("nan"), 200, is_power=True) == ""


def test_two_tests_are_compared_on_the_samples_that_both_judge() -> None:
    finds, misses = Shares([0.0] * 8), Shares([1.0] * 8)
    assert next_to(misses, finds, 0) == "ahead"
    assert next_to(finds, misses, 0) == "behind"
    assert next_to(Shares([0.0] * 3), Shares([1.0] * 3), 0) == "="
    assert next_to(Shares([0.02] * 8), finds, 0) == "="
    assert next_to(Shares([0.02] * 8), finds, 1) == "ahead"
    assert next_to(misses, Shares([float("nan")] * 8), 0) == "="


def test_a_few_simulations_print_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--sims", "2", "--worlds", "base", "97%, knows"])
    printed = capsys.readouterr().out
    assert printed.count("\n") == 4 + 6
    assert "not tested 1.00" in printed


@pytest.mark.data
def test_real_halves(data_dir: Path) -> None:
    marks = recorded.outcomes(data_dir)
    assert marks.shape == (41, 1319)
    rng = np.random.default_rng(1)
    public, private = recorded.halves(marks, rng, harder=0.065)
    assert public.shape == (41, 659)
    assert private.shape == (41, 660)
    assert public.mean() - private.mean() == pytest.approx(0.065, abs=0.003)
    sample = recorded.draw(marks, rng, memorised=0.05)
    assert sample.public.shape == (21, 659)
