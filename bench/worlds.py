"""Simulated worlds whose truth is known: a two-parameter item model, a panel of references, one
model to be judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
PUBLIC, PRIVATE = 1319, 1205


@dataclass(frozen=True)
class World:
    """True parameters of a world; all shifts in logits.

    ``harder`` is the private set's extra difficulty, ``overfit`` the target's head start on the
    public set, ``quirk`` the spread of each model's own bent, ``slope`` the spread of each model's
    log discrimination, ``noise`` the share of wrong labels, ``cluster`` the spread of a model's
    luck with each ten items of one template, ``dirty`` how many of the ``references`` have a head
    start of ``dirty_by``.
    """

    name: str
    harder: float = 0.0
    overfit: float = 0.0
    quirk: float = 0.0
    slope: float = 0.0
    noise: float = 0.0
    cluster: float = 0.0
    references: int = 20
    dirty: int = 0
    dirty_by: float = 0.5


@dataclass(frozen=True)
class Sample:
    """Outcomes of 0 and 1, models by items; the last model is the one to be judged."""

    public: Floats
    private: Floats

    def counts(self) -> list[tuple[int, int, int, int]]:
        """(public right, public n, private right, private n) of each model."""
        sums = self.public.sum(axis=1).astype(int), self.private.sum(axis=1).astype(int)
        return [
            (int(a), self.public.shape[1], int(b), self.private.shape[1])
            for a, b in zip(*sums, strict=True)
        ]


def draw(world: World, rng: np.random.Generator) -> Sample:
    """One panel and one target."""
    m = world.references
    ability = np.append(rng.uniform(-1.5, 2.5, m), rng.uniform(-1.0, 2.0))[:, None]
    sharpness = np.exp(world.slope * rng.standard_normal((m + 1, 1)))
    ahead = world.quirk * rng.standard_normal(m + 1)
    ahead[rng.choice(m, world.dirty, replace=False)] += world.dirty_by
    ahead[m] += world.overfit
    sides = []
    for n, shift in ((PUBLIC, ahead[:, None]), (PRIVATE, -world.harder)):
        discrimination, difficulty = (
            np.exp(0.3 * rng.standard_normal(n)),
            1.5 * rng.standard_normal(n),
        )
        logit = sharpness * discrimination * (ability - difficulty) + shift
        if world.cluster:
            luck = world.cluster * rng.standard_normal((m + 1, -(-n // 10)))
            logit += np.repeat(luck, 10, axis=1)[:, :n]
        right = rng.random((m + 1, n)) < expit(logit)
        wrong_label = rng.random(n) < world.noise
        sides.append((right & ~wrong_label).astype(float))
    return Sample(*sides)
