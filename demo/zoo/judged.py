"""Statistics of the board on the zoo: the raw gap beside two adjusted ones.

The panel is the honest models, as whoever knows the recipes would choose it. A model is compared
with those of other families only, so none is its own reference. All the models are one cohort.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demo.zoo import Model
from demo.zoo.recipes import Kind
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics import AdjustedGap, Case, Counts, GapTest, ItemGap, Sides
from leaderboard.evidence.statistics.counts import peers
from leaderboard.evidence.vocabulary import Evidence


@dataclass(frozen=True)
class Judged:
    """One model: its raw word, and its gap and word against its peers by counts (A) and by items
    (B).

    A gap is None, and its word `cannot tell`, where fewer than eight references of other families
    are left, or none has a private score like its own.
    """

    model: Model
    raw: Evidence
    counts: AdjustedGap | None
    counts_word: Evidence
    items: ItemGap | None
    items_word: Evidence


def judge(models: Sequence[Model]) -> list[Judged]:
    """All of `models` as one cohort, in the order given."""
    known = [place for place, model in enumerate(models) if model.kind is Kind.HONEST]
    sides = [Sides(*model.counts) for model in models]
    compared = peers(sides, [model.family for model in models], known)
    counts = compared.gaps
    references = [models[place] for place in known]
    items = [
        None if outside else _by_items(model, references)
        for model, outside in zip(models, compared.outside, strict=True)
    ]
    raw = [statistics.raw_test(*_counts(model)) for model in models]
    columns = [
        _words(models, raw),
        _words(models, [GapTest(gap.p, gap.visible) if gap else None for gap in counts]),
        _words(models, [GapTest(gap.p, gap.visible) if gap else None for gap in items]),
    ]
    return [
        Judged(model, words[0], by_counts, words[1], by_items, words[2])
        for model, by_counts, by_items, *words in zip(models, counts, items, *columns, strict=True)
    ]


def _counts(model: Model) -> tuple[Counts, Counts]:
    """As the words take them; an answer that was cut off would have no letter of its own, and none
    was."""
    return Counts(model.public.right, 0, model.public.n), Counts(
        model.private.right, 0, model.private.n
    )


def _words(models: Sequence[Model], tests: Sequence[GapTest | None]) -> list[Evidence]:
    cases = [Case(*_counts(model), test) for model, test in zip(models, tests, strict=True)]
    return [verdict.evidence for verdict in statistics.verdicts(cases)]


def _by_items(model: Model, references: Sequence[Model]) -> ItemGap | None:
    others = [one for one in references if one.family != model.family]
    if len(others) < statistics.FEWEST_REFERENCES:
        return None
    public, private = (
        [getattr(one, side).marks for one in others] for side in ("public", "private")
    )
    return statistics.item_gap(
        (model.public.marks, model.private.marks),
        (np.array(public), np.array(private)),
        lineages=[one.family for one in others],
    )
