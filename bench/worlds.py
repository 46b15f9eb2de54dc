"""Simulated worlds of known truth: a two-parameter item model, a panel, one model to judge.

``logit P(right) = s a_i (θ - b_i) + ahead``, with a model's ability θ and slope s, an item's
discrimination a and difficulty b. A harder set has a larger b. Added outside the product, the
same shift would be a bent of each model with a slope of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
PUBLIC = 1319
PRIVATE = 1205
TEMPLATE = 10
"""Items of one template, in worlds with clusters."""
REFERENCES_FROM = -1.5
REFERENCES_TO = 2.5
TARGET_FROM = -1.0
TARGET_TO = 2.0


@dataclass(frozen=True)
class World:
    """True parameters of a world; all shifts are in logits.

    The target:

    - ``overfit``: its head start on the public set;
    - ``ability``: its ability, drawn between -1 and 2 if None;
    - ``knows_all``: True if it gives the recorded answer to each public item.

    The two sets:

    - ``harder``: additional difficulty of the private set;
    - ``steeper``: factor of the private items' discrimination;
    - ``discrimination``: spread of the items' log discrimination;
    - ``public_noise`` and ``private_noise``: shares of wrong labels.

    The models:

    - ``quirk``: spread of each model's own bent to the public set;
    - ``slope``: spread of each model's log discrimination;
    - ``cluster`` and ``shared_cluster``: spread of a model's luck, and of all models' common luck,
      with each ten items of one template.

    The panel:

    - ``references``, of which ``dirty`` have a head start of ``dirty_by``;
    - ``strongest``: largest ability that a reference can have;
    - ``lineages``: their number, 0 if each reference is its own;
    - ``lineage_quirk``: spread of the bent that a lineage shares;
    - ``lineage_items``: spread of the effects of each item that a lineage shares.
    """

    name: str
    harder: float = 0.0
    overfit: float = 0.0
    ability: float | None = None
    knows_all: bool = False
    steeper: float = 1.0
    discrimination: float = 0.3
    public_noise: float = 0.0
    private_noise: float = 0.0
    quirk: float = 0.0
    slope: float = 0.0
    cluster: float = 0.0
    shared_cluster: float = 0.0
    references: int = 20
    strongest: float = REFERENCES_TO
    dirty: int = 0
    dirty_by: float = 0.5
    lineages: int = 0
    lineage_quirk: float = 0.0
    lineage_items: float = 0.0
    public_n: int = PUBLIC
    private_n: int = PRIVATE


@dataclass(frozen=True)
class Sample:
    """Outcomes of 0 and 1, models by items; the last model is the one to be judged.

    ``lineages`` has the lineage of each reference.
    """

    public: Floats
    private: Floats
    lineages: tuple[int, ...] = ()

    def counts(self) -> list[tuple[int, int, int, int]]:
        """Return (public right, public n, private right, private n) of each model."""
        public = self.public.sum(axis=1).astype(int)
        private = self.private.sum(axis=1).astype(int)
        public_n = self.public.shape[1]
        private_n = self.private.shape[1]
        counts = []
        for right, private_right in zip(public, private, strict=True):
            counts.append((int(right), public_n, int(private_right), private_n))
        return counts


def draw(world: World, rng: np.random.Generator) -> Sample:
    """Return one panel and one target."""
    m = world.references
    references = rng.uniform(REFERENCES_FROM, world.strongest, m)
    target = rng.uniform(TARGET_FROM, TARGET_TO)
    ability = np.append(references, target)
    if world.ability is not None:
        ability[m] = world.ability
    sharpness = np.exp(world.slope * rng.standard_normal(m + 1))
    ahead = world.quirk * rng.standard_normal(m + 1)
    ahead[rng.choice(m, world.dirty, replace=False)] += world.dirty_by
    ahead[m] += world.overfit
    lineages = np.arange(m)
    if world.lineages:
        lineages %= world.lineages
        # The target is of a lineage of its own.
        own_lineage = np.append(lineages, world.lineages)
        ahead += world.lineage_quirk * rng.standard_normal(world.lineages + 1)[own_lineage]
    sides = []
    for is_public in (True, False):
        n = world.public_n if is_public else world.private_n
        difficulty = 1.5 * rng.standard_normal(n)
        discrimination = np.exp(world.discrimination * rng.standard_normal(n))
        if not is_public:
            discrimination *= world.steeper
            difficulty += world.harder
        logit = sharpness[:, None] * discrimination * (ability[:, None] - difficulty)
        if is_public:
            logit += ahead[:, None]
        logit += _luck(world, n, rng)
        if world.lineage_items:
            effects = rng.standard_normal((world.lineages + 1, n))
            logit += world.lineage_items * effects[own_lineage]
        right = rng.random((m + 1, n)) < expit(logit)
        noise = world.public_noise if is_public else world.private_noise
        right &= rng.random(n) >= noise
        if is_public and world.knows_all:
            right[m] = True
        sides.append(right.astype(float))
    public, private = sides
    return Sample(public, private, tuple(lineages.tolist()))


def _luck(world: World, n: int, rng: np.random.Generator) -> Floats:
    """Return the luck of each model with each item's template, (models, n)."""
    templates = -(-n // TEMPLATE)
    luck = np.zeros((world.references + 1, templates))
    if world.cluster:
        luck += world.cluster * rng.standard_normal(luck.shape)
    if world.shared_cluster:
        luck += world.shared_cluster * rng.standard_normal(templates)
    return np.repeat(luck, TEMPLATE, axis=1)[:, :n]
