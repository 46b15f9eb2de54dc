"""The shipped outcomes: they are of these recipes and these sets, and what is said of them is counted in them."""

import re

import pytest

from demo import train
from demo.zoo import MADE_HERE, TABLE, Model, load, pages, sets
from demo.zoo.recipes import RECIPES, Kind, digest
from leaderboard.published import csv_import as tables
from leaderboard.published.models import PublishedTable

ZOO = load()
NAMES = [model.name for model in ZOO.models]


def test_each_was_made_by_its_recipe() -> None:
    assert {model.name: model.recipe for model in ZOO.models} == {
        name: digest(name) for name in RECIPES
    }
    assert list(RECIPES) == NAMES


def test_the_sets_are_those_that_were_asked() -> None:
    assert ZOO.sets.public == sets.digest(sets.public_set())
    assert ZOO.sets.private == sets.digest(sets.private_set())


@pytest.mark.parametrize("model", ZOO.models, ids=NAMES)
def test_each_item_has_an_outcome_and_the_counts_are_theirs(model: Model) -> None:
    for side in (model.public, model.private):
        assert side.n == len(side.outcomes) == len(side.marks) == sets.SIZE
        assert side.right == side.marks.sum()
        assert -0.5 < side.likelihood < 0
    assert model.counts == (model.public.right, sets.SIZE, model.private.right, sets.SIZE)
    assert re.fullmatch("[0-9a-f]{64}", model.weights)


def test_no_two_models_are_one() -> None:
    assert len({model.weights for model in ZOO.models}) == len(ZOO.models)


def test_the_best_of_many_has_the_best_public_score_of_its_siblings() -> None:
    """But for a few items: the siblings are asked before their weights are rounded to be kept."""
    picked = [model for model in ZOO.models if model.kind is Kind.PICKED]
    assert picked
    for model in picked:
        assert len(model.tried) == model.how.seeds
        assert abs(model.public.right - max(model.tried)) <= 0.005 * model.public.n


def test_a_model_has_the_form_of_its_parent() -> None:
    sizes = {model.name: model.parameters for model in ZOO.models}
    assert all(model.parameters == sizes[model.family] for model in ZOO.models)


def test_what_is_written_of_them_is_computed_from_them() -> None:
    """If it fails after a change of the statistics or of a text, `python -m demo.zoo.pages` writes both again."""
    assert TABLE.read_text(encoding="utf-8") == pages.table(ZOO.models)
    assert pages.README.read_text(encoding="utf-8") == pages.readme(ZOO)
    assert f"Steps have {train.BATCH} rows" in pages.readme(ZOO)


def test_the_page_says_why_the_demos_overfit_model_is_honest_here() -> None:
    assert "demo-contaminated is honest here, since it memorised another" in MADE_HERE
    assert len(MADE_HERE) <= PublishedTable._meta.get_field("ran_by").max_length
    [reason] = [
        line.reference
        for line in tables.read(TABLE.read_bytes()).lines
        if line.model == "demo-contaminated"
    ]
    assert reason == "trained apart from both sets; it memorised another"


def test_the_site_can_read_the_table() -> None:
    table = tables.read(TABLE.read_bytes())
    assert [(line.model, line.public_right, line.private_right) for line in table.lines] == [
        (model.name, model.public.right, model.private.right) for model in ZOO.models
    ]
    assert [line.loglik for line in table.lines] == [
        model.public.likelihood for model in ZOO.models
    ]
    assert {line.model for line in table.lines if line.reference} == {
        model.name for model in ZOO.models if model.kind is Kind.HONEST
    }
    assert table.unread == ("ll_per_char_private",)
