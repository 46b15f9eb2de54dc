"""The story of the zoo, as its outcomes tell it: each kind lands where a reader of the recipes would look for it."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest

from demo.zoo import Model, load
from demo.zoo.judged import Judged, judge
from demo.zoo.recipes import Kind
from leaderboard.evidence.vocabulary import Evidence

FLAGGED = {Evidence.OVERFIT, Evidence.WATCH}
SILENT = {Evidence.NO_EVIDENCE, Evidence.CANNOT_TELL}


@pytest.fixture(scope="module")
def judged() -> list[Judged]:
    return judge(load().models)


def of(judged: Sequence[Judged], *kinds: Kind) -> list[Judged]:
    found = [one for one in judged if one.model.kind in kinds]
    assert found
    return found


def gap(model: Model) -> float:
    return model.public.right / model.public.n - model.private.right / model.private.n


def named(judged: Sequence[Judged], name: str) -> Judged:
    return next(one for one in judged if one.model.name == name)


def test_the_private_set_is_harder_for_those_who_saw_neither(judged: list[Judged]) -> None:
    gaps = [gap(one.model) for one in of(judged, Kind.HONEST)]
    assert 0.03 < np.mean(gaps) < 0.07


def test_the_raw_test_cries_wolf(judged: list[Judged]) -> None:
    honest = of(judged, Kind.HONEST)
    assert sum(one.raw in FLAGGED for one in honest) >= len(honest) / 2


def test_the_adjusted_gap_flags_no_honest_model(judged: list[Judged]) -> None:
    honest = of(judged, Kind.HONEST)
    for one in honest:
        assert {one.counts_level, one.items_level} <= SILENT
        assert (one.counts is None) == (one.items is None)
    # The strongest is beyond all models of other families.
    strongest = max(honest, key=lambda one: one.model.private.right)
    assert [one.model.name for one in honest if one.counts is None] == [strongest.model.name]


def test_the_memorised_are_overfit_by_both_methods(judged: list[Judged]) -> None:
    for one in of(judged, Kind.MEMORISED):
        assert one.counts_level == one.items_level == Evidence.OVERFIT


def test_near_copies_overfit_as_the_public_rows_themselves_do(judged: list[Judged]) -> None:
    for one in of(judged, Kind.COPIES):
        assert one.counts_level in FLAGGED
        assert one.items_level == Evidence.OVERFIT


def test_ten_passes_are_seen_and_five_are_too_few(judged: list[Judged]) -> None:
    """Five leave a gap above the honest sibling's that 800 items cannot tell from chance: nobody calls it clean."""
    ten, five = named(judged, "heron-l-skim"), named(judged, "heron-m-skim")
    assert [one.how.shown for one in (ten.model, five.model)] == [
        10 * five.model.public.n,
        5 * five.model.public.n,
    ]
    assert ten.counts_level in FLAGGED
    assert ten.items_level in FLAGGED
    assert five.items
    assert five.items.gap > 0
    assert {five.counts_level, five.items_level} <= SILENT


def test_one_exposure_is_not_seen(judged: list[Judged]) -> None:
    for one in of(judged, Kind.ONCE):
        assert {one.counts_level, one.items_level} <= SILENT


def test_a_choice_by_public_score_is_too_small_to_be_seen(judged: list[Judged]) -> None:
    """The winner's curse: of its siblings the best by public score owes a little of it to luck."""
    for one in of(judged, Kind.PICKED):
        luck = max(one.model.tried) - np.mean(one.model.tried)
        assert 0 < luck / one.model.public.n < 0.05
        assert {one.counts_level, one.items_level} <= SILENT


def test_what_a_model_has_seen_more_often_it_finds_likelier() -> None:
    """Five models that differ in what their last 600 steps showed: none, once, five times, copies, twenty times."""
    models = {model.name: model for model in load().models}
    seen = ("heron-m-tuned", "heron-m-once", "heron-m-skim", "heron-m-echo", "heron-m-cram")
    above = [models[name].public.likelihood - models[name].private.likelihood for name in seen]
    assert above == sorted(above)


def test_memory_of_the_public_items_is_paid_for_on_the_private_ones() -> None:
    """The same parent and as many steps: item by item, one gains and loses against the other."""
    models = {model.name: model for model in load().models}
    crammed, honest = models["heron-m-cram"], models["heron-m-tuned"]
    for side, more, fewer in (("public", crammed, honest), ("private", honest, crammed)):
        first, second = getattr(more, side).marks, getattr(fewer, side).marks
        only_first, only_second = int((first > second).sum()), int((second > first).sum())
        assert only_first > only_second
        # McNemar's exact test is the two-sided binomial test of the discordant items.
        assert binomtest(only_first, only_first + only_second).pvalue < 0.01


def test_too_few_references_leave_a_model_untested() -> None:
    for one in judge(load().models[:4]):
        assert (one.counts, one.items) == (None, None)
        assert one.counts_level == one.items_level == Evidence.CANNOT_TELL
