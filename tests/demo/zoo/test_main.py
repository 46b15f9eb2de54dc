"""`python -m demo.zoo`: what is made already is not made again, and what is shipped is written at the end only."""

from dataclasses import replace
from pathlib import Path

import pytest

from demo.zoo import Model, SetResult, load
from demo.zoo import __main__ as program
from demo.zoo.recipes import RECIPES, Kind, Recipe, digest

TWO = {
    "first": Recipe(seed=1, steps=2, hidden=32, layers=1, heads=1),
    "second": Recipe(seed=2, steps=2, parent="first", kind=Kind.ONCE, shown=8),
}


def model(name: str) -> Model:
    result = SetResult(outcomes="RWN", likelihood=-0.1)
    how = {"recipe": digest(name), "weights": "00", "parameters": 9, "seconds": 1, "tried": []}
    return Model(name=name, public=result, private=result, **how)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names that were made, with a maker that trains nothing and two recipes."""
    names: list[str] = []

    def make(name: str, work: Path, say: object) -> Model:
        names.append(name)
        return model(name)

    for old in list(RECIPES):
        monkeypatch.delitem(RECIPES, old)
    for name, recipe in TWO.items():
        monkeypatch.setitem(RECIPES, name, recipe)
    monkeypatch.setattr(program, "make", make)
    monkeypatch.setattr(program, "SHIPPED", tmp_path / "zoo.json")
    monkeypatch.setattr(program, "write", lambda zoo: None)
    return names


def test_a_second_run_makes_nothing(made: list[str], tmp_path: Path) -> None:
    for _ in range(2):
        program.main(["--work", str(tmp_path / "work")])
    assert made == ["first", "second"]
    assert [one.name for one in load(tmp_path / "zoo.json").models] == made


def test_nothing_is_shipped_until_all_is_made(made: list[str], tmp_path: Path) -> None:
    program.main(["--work", str(tmp_path / "work"), "--only", "first"])
    assert not (tmp_path / "zoo.json").exists()
    program.main(["--work", str(tmp_path / "work")])
    assert made == ["first", "second"]
    assert (tmp_path / "zoo.json").exists()


@pytest.mark.parametrize(
    ("changed", "again"), [("first", ["first", "second"]), ("second", ["second"])]
)
def test_another_recipe_makes_the_model_and_its_children_again(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str, again: list[str]
) -> None:
    program.main(["--work", str(tmp_path)])
    made.clear()
    monkeypatch.setitem(RECIPES, changed, replace(TWO[changed], seed=9))
    program.main(["--work", str(tmp_path)])
    assert made == again
