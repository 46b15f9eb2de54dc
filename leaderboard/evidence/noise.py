"""Noise floor: largest difference of two scores of the same weights that is measurement noise.

``python -m bench.noise --store`` measures and stores it; the site reads it and computes nothing.
"""

from functools import cache
from math import ceil
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from evaluator.contract import Hex32, Moment, Name, Wire

STORED = Path(__file__).parent / "noise.json"
Share = Annotated[float, Meta(ge=0, le=1)]


class Cell(Wire, frozen=True, kw_only=True):
    """Way to ask: an engine with its version, ``batch`` requests at once, and its differences.

    Differences are those from the first cell.
    """

    engine: str
    batch: int
    repeat: int
    score: Share
    texts_differ: int
    verdicts_differ: int
    score_differs_by: float
    likelihood_differs_by: float


class NoiseFloor(Wire, frozen=True, kw_only=True):
    """Differences of the same weights on the same ``n`` items at T=0, asked in many ways.

    - ``verdicts_differ``: those of the worst cell;
    - ``floor``: 95% upper bound of their share, as a fraction; a smaller difference of scores is
      no evidence;
    - ``likelihood_floor``: largest difference measured, in nats per character.
    """

    moment: Moment
    model: Name
    artefact: Hex32
    set: Hex32
    n: int
    protocol: Name
    definition: Name
    hardware: str
    cells: Annotated[tuple[Cell, ...], Meta(min_length=2)]
    verdicts_differ: int
    floor: Share
    likelihood_floor: float

    @property
    def engines(self) -> tuple[str, ...]:
        """Engines with their versions, in the order in which they were asked."""
        return tuple(dict.fromkeys(cell.engine for cell in self.cells))

    @property
    def at_once(self) -> tuple[int, ...]:
        """Numbers of requests in flight, ascending."""
        return tuple(sorted({cell.batch for cell in self.cells}))

    @property
    def floor_pp(self) -> str:
        """Floor in percentage points, rounded up."""
        return f"{ceil(self.floor * 10_000) / 100:.2f}"

    def summary(self) -> dict[str, object]:
        """Return the fields that the board's JSON has."""
        names = (
            "moment",
            "model",
            "n",
            "protocol",
            "engines",
            "hardware",
            "verdicts_differ",
            "floor",
            "likelihood_floor",
        )
        return {name: getattr(self, name) for name in names}


@cache
def noise_floor() -> NoiseFloor:
    """Return the stored record."""
    return msgspec.json.decode(STORED.read_bytes(), type=NoiseFloor)
