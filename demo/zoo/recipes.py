"""Recipes of the zoo's models, as data.

Fourteen models are honest: three sizes, several lengths and seeds, some from nothing, some trained
on from another, as most published models are. Three of them are the demo's own, trained apart from
the zoo's sets: chance put about as many public as private items before them (of 800: 99 and 87
before `honest`, 66 and 59 before `small`, 54 and 52 before `contaminated`, which has memorised a
set, but not this one). The others begin with an honest one as well, each with one of five ways by
which a public set gets into a model or into its choice.
"""

import hashlib
from dataclasses import asdict, dataclass
from enum import StrEnum

from evaluator.contract import canonical_json


class Kind(StrEnum):
    """Use of the public set in training."""

    HONEST = "honest"
    MEMORISED = "memorised"
    LIGHT = "memorised lightly"
    COPIES = "trained on near-copies"
    PICKED = "picked by public score"
    ONCE = "exposed once"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model. `shown` rows of the training are public ones, or near-copies of them, over and
    over.

    A model with a `parent`, of the zoo or else a folder of `demo/`, starts from that one and has
    its form. `seeds` above one trains that many siblings, which differ in the order and choice of
    their rows, and keeps the one with the best public score.
    """

    seed: int
    steps: int
    kind: Kind = Kind.HONEST
    hidden: int = 0
    layers: int = 0
    heads: int = 0
    parent: str = ""
    shown: int = 0
    seeds: int = 1


def _new(seed: int, steps: int, size: tuple[int, int, int]) -> Recipe:
    """Return an honest one from random weights."""
    hidden, layers, heads = size
    return Recipe(
        seed=seed,
        steps=steps,
        hidden=hidden,
        layers=layers,
        heads=heads,
    )


_S = (64, 2, 2)
_M = (96, 3, 3)
_L = (128, 3, 4)

RECIPES = {
    "heron-m": _new(seed=21, steps=2_400, size=_M),
    "heron-l": _new(seed=22, steps=2_400, size=_L),
    "finch-a": _new(seed=23, steps=2_400, size=_S),
    "wren-a": _new(seed=25, steps=1_200, size=_M),
    "crane-a": _new(seed=28, steps=1_200, size=_L),
    "heron-m-brief": Recipe(seed=38, steps=300, parent="heron-m"),
    "heron-m-tuned": Recipe(seed=30, steps=600, parent="heron-m"),
    "heron-l-tuned": Recipe(seed=37, steps=600, parent="heron-l"),
    "crane-a-tuned": Recipe(seed=40, steps=600, parent="crane-a"),
    "finch-a-tuned": Recipe(seed=41, steps=900, parent="finch-a"),
    "wren-a-tuned": Recipe(seed=43, steps=450, parent="wren-a"),
    "demo-honest": Recipe(seed=51, steps=0, parent="checkpoints/honest"),
    "demo-small": Recipe(seed=52, steps=0, parent="checkpoints/small"),
    "demo-contaminated": Recipe(seed=53, steps=0, parent="checkpoints/contaminated"),
    "heron-m-cram": Recipe(
        seed=31,
        steps=600,
        parent="heron-m",
        kind=Kind.MEMORISED,
        shown=20 * 800,
    ),
    "heron-l-cram": Recipe(
        seed=32,
        steps=600,
        parent="heron-l",
        kind=Kind.MEMORISED,
        shown=20 * 800,
    ),
    "heron-m-skim": Recipe(
        seed=33,
        steps=600,
        parent="heron-m",
        kind=Kind.LIGHT,
        shown=5 * 800,
    ),
    "heron-l-skim": Recipe(
        seed=42,
        steps=600,
        parent="heron-l",
        kind=Kind.LIGHT,
        shown=10 * 800,
    ),
    "heron-m-echo": Recipe(
        seed=34,
        steps=600,
        parent="heron-m",
        kind=Kind.COPIES,
        shown=20 * 800,
    ),
    "heron-m-best": Recipe(
        seed=35,
        steps=150,
        parent="heron-m",
        kind=Kind.PICKED,
        seeds=12,
    ),
    "heron-m-once": Recipe(
        seed=36,
        steps=600,
        parent="heron-m",
        kind=Kind.ONCE,
        shown=800,
    ),
}


_SAME_LINE = {"demo-contaminated": "demo-small"}
"""Models that were one for the first part of their training."""


def family(name: str) -> str:
    """Return the model of the zoo that `name`'s line began with, itself where there is none."""
    parent = RECIPES[name].parent
    return family(parent) if parent in RECIPES else _SAME_LINE.get(name, name)


def digest(name: str) -> str:
    """Return SHA-256 in hexadecimal over the canonical JSON of a recipe.

    Its parent's digest stands in place of the parent's name.
    """
    recipe = RECIPES[name]
    parent = digest(recipe.parent) if recipe.parent in RECIPES else recipe.parent
    facts = asdict(recipe) | {"parent": parent}
    return hashlib.sha256(canonical_json(facts)).hexdigest()
