"""Waiting times of a pool, from the seconds that runs took lately. Pure."""

from collections.abc import Sequence
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
        for run in measured:
            for group in _groups(run.pair, run.kind):
                groups.setdefault(group, []).append(run.seconds_per_item)
        self._medians: dict[tuple[int, str], float] = {}
        for group, values in groups.items():
            self._medians[group] = median(values)

    def seconds(self, *, pair: int, kind: str, items: int) -> float | None:
        """Return how long that many items take; None while nothing was measured."""
        for group in _groups(pair, kind):
            if group in self._medians:
                return items * self._medians[group]
        return None


def _groups(pair: int, kind: str) -> tuple[tuple[int, str], ...]:
    """Return the groups that a run counts in, the narrowest first."""
    same_kind = (0, kind)
    all_runs = (0, "")
    return ((pair, kind), same_kind, all_runs)
