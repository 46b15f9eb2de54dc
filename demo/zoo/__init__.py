"""A zoo of tiny models, honest ones and five kinds of overfitted ones, on a public set and a harder private twin.

What came of them is shipped (`zoo.json`); their weights are not. `python -m demo.zoo` makes everything again.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

FOLDER = Path(__file__).parent


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one set. `outcomes` has a letter for each item: Right, Wrong or No answer; `likelihood` is the mean
    log-likelihood per character, in nats."""

    outcomes: Annotated[str, Meta(pattern=r"\A[RWN]+\Z")]
    likelihood: Annotated[float, Meta(le=0)]

    @property
    def n(self) -> int:
        """How many items."""
        return len(self.outcomes)

    @property
    def right(self) -> int:
        """How many of them were answered rightly."""
        return self.outcomes.count("R")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the zoo and what came of it.

    `recipe` is the digest of how it was made and `weights` of what was asked; `seconds` are of one core. `tried` are
    the public scores of the siblings that it was picked from.
    """

    name: str
    recipe: str
    weights: str
    parameters: int
    seconds: int
    tried: list[int]
    public: SetResult
    private: SetResult


class Zoo(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shipped."""

    torch: str
    transformers: str
    models: list[Model]


def load(path: Path = FOLDER / "zoo.json") -> Zoo:
    """The shipped zoo. Raises ``msgspec.ValidationError`` where the file is no such thing."""
    return msgspec.json.decode(path.read_bytes(), type=Zoo)
