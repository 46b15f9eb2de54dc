"""Efficient frontier of scores against sizes: models that no other is both smaller and better than.

A model is efficient if no other has a score as high at a smaller size, and none of its own size has
a higher one. Models that are equal in both are efficient together. A size is a number of parameters
or of tokens.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple


class Size(StrEnum):
    """Sizes that a score is set against, by the name of their column."""

    PARAMETERS = "parameters"
    TOKENS = "tokens"


class Sized(NamedTuple):
    """Model with its size, more than 0, and its score."""

    model: str
    size: float
    score: float


def efficient(models: Sequence[Sized]) -> dict[str, bool]:
    """Return whether each model is efficient among all of them, by its name."""
    found: dict[str, bool] = {}
    best_of_smaller = float("-inf")
    groups: dict[float, list[Sized]] = {}
    for model in sorted(models, key=lambda model: model.size):
        groups.setdefault(model.size, []).append(model)
    for group in groups.values():
        best = max(model.score for model in group)
        for model in group:
            found[model.model] = model.score == best and best > best_of_smaller
        best_of_smaller = max(best, best_of_smaller)
    return found


def line(models: Sequence[Sized], found: Mapping[str, bool]) -> list[tuple[float, float]]:
    """Return the frontier's (size, score) points, each once, the smallest first."""
    points = set()
    for model in models:
        if found[model.model]:
            points.add((model.size, model.score))
    return sorted(points)
