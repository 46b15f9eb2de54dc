"""How the models of the zoo are made, as data."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from demo import train
from demo.train import BATCH
from demo.zoo import FOLDER, sets
from demo.zoo.making import training_rows
from demo.zoo.recipes import RECIPES, Kind, Recipe, digest, family

SHORT = Recipe(seed=1, steps=40, hidden=32, layers=1, heads=1)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_followed(name: str) -> None:
    recipe = RECIPES[name]
    assert bool(recipe.parent) != bool(recipe.hidden)
    assert recipe.shown <= recipe.steps * BATCH
    assert bool(recipe.shown) == (
        recipe.kind in {Kind.MEMORISED, Kind.LIGHT, Kind.COPIES, Kind.ONCE}
    )
    assert (recipe.seeds > 1) == (recipe.kind is Kind.PICKED)


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.parent])
def test_a_parent_is_there_first_and_honest(name: str) -> None:
    """What is wrong with a child is then its own."""
    parent = RECIPES[name].parent
    if parent in RECIPES:
        assert list(RECIPES).index(parent) < list(RECIPES).index(name)
        assert RECIPES[parent].kind is Kind.HONEST
    else:
        assert (FOLDER.parent / parent / "model.safetensors").exists()


@pytest.mark.slow
def test_chance_shows_the_demos_three_as_many_public_as_private_items() -> None:
    """As the module of the recipes says."""
    questions = [
        {row["question"] for row in rows} for rows in (sets.public_set(), sets.private_set())
    ]
    found = {
        name: [len(side & {row["question"] for row in rows}) for side in questions]
        for name, recipe in train.RECIPES.items()
        if (rows := train.first_rows(recipe) + train.tuning_rows(recipe))
    }
    assert found == {"honest": [99, 87], "small": [66, 59], "contaminated": [54, 52]}


def test_no_two_models_share_a_seed() -> None:
    assert len({recipe.seed for recipe in RECIPES.values()}) == len(RECIPES) >= 12


def test_every_kind_is_there_and_there_are_enough_references_of_other_families() -> None:
    assert {recipe.kind for recipe in RECIPES.values()} == set(Kind)
    honest = [family(name) for name, recipe in RECIPES.items() if recipe.kind is Kind.HONEST]
    assert all(sum(other != family(name) for other in honest) >= 8 for name in RECIPES)


def test_a_line_has_the_name_of_its_first_model() -> None:
    assert family("heron-m") == family("heron-m-cram") == "heron-m"
    assert family("demo-contaminated") == family("demo-small") == "demo-small"


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"steps": 41},
        {"kind": Kind.ONCE},
        {"parent": "heron-l"},
        {"shown": 1},
        {"seeds": 2},
    ],
    ids=str,
)
def test_another_recipe_has_another_digest(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {name: digest(name) for name in ("heron-m-tuned", "heron-m-once")}
    monkeypatch.setitem(RECIPES, "heron-m-tuned", replace(RECIPES["heron-m-tuned"], **other))
    assert digest("heron-m-tuned") != before["heron-m-tuned"]
    assert digest("heron-m-once") == before["heron-m-once"]


def test_a_digest_covers_the_parents_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest("heron-m-tuned")
    monkeypatch.setitem(RECIPES, "heron-m", replace(RECIPES["heron-m"], steps=41))
    assert digest("heron-m-tuned") != before


@pytest.mark.parametrize(
    ("kind", "times"),
    [(Kind.HONEST, 0), (Kind.ONCE, 1), (Kind.LIGHT, 2), (Kind.MEMORISED, 2)],
    ids=str,
)
def test_public_rows_are_shown_as_often_as_the_recipe_says(kind: Kind, times: int) -> None:
    rows = training_rows(replace(SHORT, kind=kind, shown=times * sets.SIZE), seed=1)
    seen = Counter(row["question"] for row in rows)
    assert len(rows) == SHORT.steps * BATCH
    assert {seen[row["question"]] for row in sets.public_set()} == {times}
    assert not any(seen[row["question"]] for row in sets.private_set())


def test_near_copies_are_shown_in_place_of_public_rows() -> None:
    rows = training_rows(replace(SHORT, kind=Kind.COPIES, shown=sets.SIZE), seed=1)
    seen = {row["question"] for row in rows}
    assert {row["question"] for row in sets.near_copies()} <= seen
    assert not seen & {row["question"] for row in sets.public_set()}
