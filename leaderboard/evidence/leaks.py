"""Leaks as stored in a row: a model on private items shown before, against items that were not."""

from typing import Literal

from evaluator.contract import Wire

ExposureExtent = Literal["first", "part", "again", "unknown"]
"""Share of a run's items that its provider was shown for the first time: all, some, none."""


class LeakContrast(Wire, frozen=True, kw_only=True):
    """Weights on items that endpoints had been shown, less on items that never left, as fractions.

    ``exposed`` are the parts of the set of which endpoints had been shown every item that counts
    before the run started. Without such a part there is no contrast: nothing can have leaked.

    - ``interval`` is Miettinen and Nurminen's 95%;
    - ``p`` is one-sided and of this model alone;
    - ``visible`` is the smallest leak found with a power of 80%, None where none would be found.

    No evidence level depends on it.
    """

    exposed_right: int
    exposed_n: int
    local_right: int
    local_n: int
    difference: float
    interval: tuple[float, float]
    p: float
    visible: float | None


class PriorExposureContrast(Wire, frozen=True, kw_only=True):
    """Endpoint on whole parts shown to its provider before, less on whole parts shown first here.

    ``difference`` and what follows are as in :class:`LeakContrast`.
    """

    seen_right: int
    seen_n: int
    fresh_right: int
    fresh_n: int
    difference: float
    interval: tuple[float, float]
    p: float
    visible: float | None


class StagedContrast(Wire, frozen=True, kw_only=True):
    """Share of the items that a provider was shown which its endpoint has memorised since.

    Over all runs of a model that was asked a set in stages, items shown before against items shown
    first. ``p`` is one-sided and corrected for the number of ``comparisons``, which is fixed by the
    first one. ``visible`` is the smallest share found with a power of 80%, None where none would be
    found. The interval is 95%. No evidence level depends on it.
    """

    runs: int
    comparisons: int
    share: float
    interval: tuple[float, float]
    p: float
    visible: float | None


class PriorExposure(Wire, frozen=True, kw_only=True):
    """Exposure of a run's private items to its provider before the run, by the evaluators' logs.

    Only items that count are included. Exposure only grows, so it is that of the model's newest
    decided run: ``run``, with so many ``items``. Of the row's own run both are empty.

    - ``before``: items that other runs showed before this run's first entry in a log;
    - ``since``: ISO date on which the first of them was shown, empty for none;
    - ``fresh``: items that this run was the first to show. Another run showed the rest meanwhile.

    ``before`` and ``fresh`` are None where that is unknown. There is no ``contrast`` where one side
    has no whole part of the set. ``staged`` is over the model's runs until this one; None where
    none of them had a contrast. ``stages`` are the stages that the row's own run was asked, and all
    of the set; None for a set without stages.
    """

    extent: ExposureExtent
    before: int | None = None
    fresh: int | None = None
    since: str = ""
    contrast: PriorExposureContrast | None = None
    stages: tuple[int, int] | None = None
    staged: StagedContrast | None = None
    run: str = ""
    items: int = 0
