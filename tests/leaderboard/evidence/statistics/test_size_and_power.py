"""SZ1 and the note's worlds: how often each test speaks when it should not, and when it should."""

import numpy as np
import pytest

from bench.worlds import World, draw
from leaderboard.evidence import statistics as s
from leaderboard.evidence.statistics import Sides

CALM = World("private set .3 logit harder", harder=0.3)
SIMS = 400


def shares(world: World, sims: int, *, items: bool = False, seed: int = 1) -> dict[str, float]:
    """The share of simulations in which each test rejects at .05."""
    rng, hits = np.random.default_rng(seed), {"raw": 0, "A": 0, "robust": 0, "B": 0}
    for _ in range(sims):
        sample = draw(world, rng)
        *references, target = (Sides(*one) for one in sample.counts())
        hits["raw"] += s.score_test(*target).p_greater <= 0.05
        hits["A"] += s.gaps_against(s.fit_panel(references, robust=False), [target])[0].p <= 0.05
        hits["robust"] += s.adjusted_gap(target, references).p <= 0.05
        if items:
            others = sample.public[:-1], sample.private[:-1]
            hits["B"] += s.item_gap((sample.public[-1], sample.private[-1]), others).p <= 0.05
    return {name: count / sims for name, count in hits.items()}


@pytest.mark.slow
@pytest.mark.long
def test_sz1_quick() -> None:
    """A quarter of SZ1: the harness sees the trap, and neither method falls into it."""
    found = shares(CALM, SIMS // 4, items=True)
    assert found["raw"] > 0.7
    assert max(found["A"], found["robust"], found["B"]) <= 0.07


def test_a_dirty_panel_blinds_the_plain_method_only() -> None:
    found = shares(World("dirty", harder=0.3, overfit=0.35, dirty=4), 120)
    assert found["A"] < 0.25
    assert found["robust"] >= 0.8 - 2 * (0.16 / 120) ** 0.5


@pytest.mark.slow
@pytest.mark.long
def test_sz1() -> None:
    found = shares(CALM, SIMS, items=True)
    assert found["raw"] > 0.7
    assert max(found["A"], found["robust"], found["B"]) <= 0.07


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(
    ("world", "low", "high"),
    [
        (World("equal"), 0.0, 0.05),
        (World("quirks", harder=0.3, quirk=0.1), 0.0, 0.07),
        (World("slopes", harder=0.3, slope=0.2), 0.0, 0.05),
        (World("noise", harder=0.3, public_noise=0.05, private_noise=0.05), 0.0, 0.05),
        (World("clusters", harder=0.3, cluster=0.8), 0.0, 0.05),
        (World("dirty clean", harder=0.3, dirty=4), 0.0, 0.05),
        (World("overfit", harder=0.3, overfit=0.35), 0.85, 1.0),
        (World("quirks overfit", harder=0.3, overfit=0.35, quirk=0.1), 0.73, 1.0),
        (World("dirty overfit", harder=0.3, overfit=0.35, dirty=4), 0.81, 1.0),
        (World("eight references", harder=0.3, overfit=0.35, references=8), 0.65, 1.0),
    ],
    ids=lambda value: value.name if isinstance(value, World) else None,
)
def test_the_robust_method_in_the_notes_worlds(world: World, low: float, high: float) -> None:
    """Within two binomial errors of the note's powers or better, and of a size that stays under 7%."""
    found = shares(world, SIMS)["robust"]
    assert (
        low - 2 * (low * (1 - low) / SIMS) ** 0.5
        <= found
        <= high + 2 * (high * (1 - high) / SIMS) ** 0.5
    )
