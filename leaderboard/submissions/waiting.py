"""Waiting times of a pool, from the seconds that runs took lately. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Measured:
    """Run that ended: its benchmark, its kind, and the seconds that each of its items took."""

    pair: int
    kind: str
    seconds_per_item: float


class Pace:
    """Seconds that runs of a pool take, by benchmark and kind of model.

    Where no run of the same benchmark and kind was measured, runs of the same kind count, then all.
    """

    def __init__(self, measured: Sequence[Measured]) -> None:
        self.count = len(measured)
        groups: dict[tuple[int, str], list[float]] = {}
        for one in measured:
            for key in ((one.pair, one.kind), (0, one.kind), (0, "")):
                groups.setdefault(key, []).append(one.seconds_per_item)
        self._medians: Mapping[tuple[int, str], float] = {
            key: median(values) for key, values in groups.items()
        }

    def seconds(self, *, pair: int, kind: str, items: int) -> float | None:
        """Return how long that many items take; None while nothing was measured."""
        for key in ((pair, kind), (0, kind), (0, "")):
            if key in self._medians:
                return items * self._medians[key]
        return None
