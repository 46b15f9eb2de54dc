"""A zoo of tiny models, honest ones and five kinds of overfitted ones, on a public set and a harder
private twin.

Their outcomes are shipped (`zoo.json`), their weights are not. `python -m demo.zoo` makes
everything again.
"""

from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from demo.zoo.recipes import RECIPES, Kind, Recipe, family

FOLDER = Path(__file__).parent
SHIPPED = FOLDER / "zoo.json"
TABLE = FOLDER / "zoo.csv"
"""The counts and likelihoods as a table that `manage.py import_published` reads."""
MADE_HERE = (
    "The demo trained and asked these models itself and knows how each was made: demo-contaminated"
    " is honest here, since it memorised another benchmark's public set, not this one"
)
"""Sentences on who ran the models, for the table's page."""


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one set. `outcomes` has a letter for each item: Right, Wrong or No answer;
    `likelihood` is the mean log-likelihood per character, in nats."""

    outcomes: Annotated[str, Meta(pattern=r"\A[RWN]+\Z")]
    likelihood: Annotated[float, Meta(le=0)]

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.outcomes)

    @property
    def right(self) -> int:
        """Number of right answers."""
        return self.outcomes.count("R")

    @property
    def marks(self) -> NDArray[np.float64]:
        """1 for each item that was answered rightly and 0 for each other, (n,), as the statistics
        take them."""
        return np.array([letter == "R" for letter in self.outcomes], dtype=float)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the zoo and its results.

    `recipe` is the digest of how it was made and `weights` of what was asked; `seconds` are of one
    core, for the training. `tried` are the public scores of the siblings that it was picked from,
    before the weights of the best were rounded to bfloat16 as all are stored.
    """

    name: str
    recipe: str
    weights: str
    parameters: int
    seconds: int
    tried: list[int]
    public: SetResult
    private: SetResult

    @property
    def how(self) -> Recipe:
        """Its recipe. Raises `KeyError` for a model that the recipes do not name."""
        return RECIPES[self.name]

    @property
    def kind(self) -> Kind:
        """Use of the public set in training."""
        return self.how.kind

    @property
    def family(self) -> str:
        """The model that its line began with: all that descend from one are related."""
        return family(self.name)

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Right answers and items, public first."""
        public = self.public
        private = self.private
        return public.right, public.n, private.right, private.n


class Digests(msgspec.Struct, frozen=True, kw_only=True):
    """SHA-256 of the two sets, in hexadecimal, over their canonical JSON."""

    public: str
    private: str


class Zoo(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shipped, the models in the order of the recipes."""

    torch: str
    transformers: str
    grader: str
    sets: Digests
    models: list[Model]


def load(path: Path = SHIPPED) -> Zoo:
    """The shipped zoo. Raises `msgspec.ValidationError` where the file is no such thing."""
    return msgspec.json.decode(path.read_bytes(), type=Zoo)
