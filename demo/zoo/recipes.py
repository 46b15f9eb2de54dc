"""How each model of the zoo is made, as data.

Ten models are honest: three sizes, several lengths and seeds. The others begin with an honest one and are trained on a
little, as most published models are, each with one of five ways by which a public set gets into a model or its choice.
"""

import hashlib
from dataclasses import asdict, dataclass
from enum import StrEnum

from evaluator.contract import canonical_json


class Kind(StrEnum):
    """What was done with the public set."""

    HONEST = "honest"
    MEMORISED = "memorised"
    LIGHT = "memorised lightly"
    COPIES = "trained on near-copies"
    PICKED = "picked by public score"
    ONCE = "exposed once"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One model. `shown` rows of the training are public ones, or near-copies of them, over and over.

    A model with a `parent` starts from that one and has its form. `seeds` above one trains that many siblings, which
    differ in the order and choice of their rows, and keeps the one with the best public score.
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

    @property
    def digest(self) -> str:
        """SHA-256 in hexadecimal over the canonical JSON of the fields."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()


_S = {"hidden": 64, "layers": 2, "heads": 2}
_M = {"hidden": 96, "layers": 3, "heads": 3}
_L = {"hidden": 128, "layers": 3, "heads": 4}

RECIPES = {
    "heron-m": Recipe(seed=21, steps=2_400, **_M),
    "heron-l": Recipe(seed=22, steps=2_400, **_L),
    "finch-a": Recipe(seed=23, steps=2_400, **_S),
    "finch-b": Recipe(seed=24, steps=3_600, **_S),
    "wren-a": Recipe(seed=25, steps=1_200, **_M),
    "wren-b": Recipe(seed=26, steps=1_800, **_M),
    "wren-c": Recipe(seed=27, steps=3_000, **_M),
    "crane-a": Recipe(seed=28, steps=1_200, **_L),
    "crane-b": Recipe(seed=29, steps=1_700, **_L),
    "heron-m-tuned": Recipe(seed=30, steps=600, parent="heron-m"),
    "heron-m-cram": Recipe(seed=31, steps=600, parent="heron-m", kind=Kind.MEMORISED, shown=20 * 800),
    "heron-l-cram": Recipe(seed=32, steps=600, parent="heron-l", kind=Kind.MEMORISED, shown=20 * 800),
    "heron-m-skim": Recipe(seed=33, steps=600, parent="heron-m", kind=Kind.LIGHT, shown=5 * 800),
    "heron-m-echo": Recipe(seed=34, steps=600, parent="heron-m", kind=Kind.COPIES, shown=20 * 800),
    "heron-m-best": Recipe(seed=35, steps=150, parent="heron-m", kind=Kind.PICKED, seeds=12),
    "heron-m-once": Recipe(seed=36, steps=600, parent="heron-m", kind=Kind.ONCE, shown=800),
}
