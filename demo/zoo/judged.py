"""Statistics of the board on the zoo: the raw gap and two adjusted ones.

The panel is the honest models, as a reader of the recipes would choose it. A model is compared
with those of other families only, so none is its own reference. All the models are one cohort.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo.zoo import Model
from demo.zoo.recipes import Kind
from evaluator.contract import OutcomeCounts
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics import AdjustedGap, Case, GapTest, ItemGap, Sides
from leaderboard.evidence.statistics.counts import peers
from leaderboard.evidence.vocabulary import Evidence


@dataclass(frozen=True)
class Judged:
    """One model and its evidence levels: by the raw gap, and against its peers by counts (A) and
    by items (B).

    A gap is None, and its level `cannot tell`, where fewer than eight references of other families
    are left, or none has a private score like its own.
    """

    model: Model
    raw: Evidence
    counts: AdjustedGap | None
    counts_level: Evidence
    items: ItemGap | None
    items_level: Evidence


def judge(models: Sequence[Model]) -> list[Judged]:
    """Judge all of `models` as one cohort, in the order given."""
    honest = []
    for place, model in enumerate(models):
        if model.kind is Kind.HONEST:
            honest.append(place)
    panel = [models[place] for place in honest]
    sides = [Sides(*model.counts) for model in models]
    compared = peers(sides, [model.family for model in models], honest)
    by_counts = compared.gaps
    by_items = []
    for model, outside in zip(models, compared.outside, strict=True):
        by_items.append(None if outside else _by_items(model, panel))
    raw_tests = [statistics.raw_test(*_counts(model)) for model in models]
    raw_levels = _levels(models, raw_tests)
    counts_levels = _levels(models, [_test(gap) for gap in by_counts])
    items_levels = _levels(models, [_test(gap) for gap in by_items])
    return [
        Judged(
            model=model,
            raw=raw_levels[place],
            counts=by_counts[place],
            counts_level=counts_levels[place],
            items=by_items[place],
            items_level=items_levels[place],
        )
        for place, model in enumerate(models)
    ]


def _test(gap: AdjustedGap | ItemGap | None) -> GapTest | None:
    return statistics.adjusted_test(gap) if gap else None


def _counts(model: Model) -> tuple[OutcomeCounts, OutcomeCounts]:
    """Return the counts of both sets. No answer was cut off."""
    public = OutcomeCounts.of_score(model.public.right, model.public.n)
    private = OutcomeCounts.of_score(model.private.right, model.private.n)
    return public, private


def _levels(
    models: Sequence[Model],
    tests: Sequence[GapTest | None],
) -> list[Evidence]:
    levels = []
    for model, test in zip(models, tests, strict=True):
        case = Case(*_counts(model), test)
        levels.append(statistics.verdict(case).evidence)
    return levels


def _by_items(model: Model, references: Sequence[Model]) -> ItemGap | None:
    others = [reference for reference in references if reference.family != model.family]
    if len(others) < statistics.FEWEST_REFERENCES:
        return None
    public = np.array([other.public.marks for other in others])
    private = np.array([other.private.marks for other in others])
    return statistics.item_gap(
        (model.public.marks, model.private.marks),
        (public, private),
        lineages=[other.family for other in others],
    )
