"""From a recipe to a record, with models and sets so small that each is made in a second."""

import hashlib
from pathlib import Path

import pytest
import torch

from demo import train
from demo.zoo import Model, making, sets
from demo.zoo.recipes import RECIPES, Kind, Recipe, digest
from evaluator.items import Item
from evaluator.protocols.likelihood import LOGLIK_1

ITEMS = 40
TINY = {
    "mite": Recipe(seed=1, steps=3, hidden=32, layers=1, heads=1),
    "mite-echo": Recipe(seed=2, steps=2, parent="mite", kind=Kind.COPIES, shown=30),
    "mite-best": Recipe(seed=3, steps=1, parent="mite", kind=Kind.PICKED, seeds=2),
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(sets, "SIZE", ITEMS)
    for name, recipe in TINY.items():
        monkeypatch.setitem(RECIPES, name, recipe)


def check(model: Model, name: str, work: Path) -> None:
    """The record has the form that is shipped, and speaks of the weights that are there."""
    weights = (work / name / "model.safetensors").read_bytes()
    assert (model.name, model.recipe) == (name, digest(name))
    assert model.weights == hashlib.sha256(weights).hexdigest()
    for side in (model.public, model.private):
        assert side.n == len(side.marks) == ITEMS
        assert side.right == side.marks.sum()
        assert -10 < side.likelihood < 0


@pytest.mark.slow
def test_a_miniature_zoo_from_end_to_end(tiny: None, tmp_path: Path) -> None:
    said: list[str] = []
    first, echo, best = (making.make(name, tmp_path, said.append) for name in TINY)
    for model in (first, echo, best):
        check(model, model.name, tmp_path)
    assert first.tried == echo.tried == []
    assert len(best.tried) == 2
    assert len({first.weights, echo.weights, best.weights}) == 3
    assert said[-1] == "mite-best: 2 of 2 trained"
    assert making.make("mite-echo", tmp_path, said.append).weights == echo.weights


def test_likelihoods_are_read_as_the_engine_reads_them() -> None:
    """A model that knows nothing gives each token its even share, so the sum is known."""
    tokenizer = train.build_tokenizer()
    model = train.new_model(train.Recipe(1, 1, 32, 1, 1, 0.0), tokenizer)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    row = {"question": "Two and two?", "answer": "2 + 2 = 4. #### 4"}
    text = LOGLIK_1.of(Item(row["question"], row["answer"], ""))
    ids = tokenizer(text)["input_ids"]
    first = len(tokenizer.decode(ids[:1]))
    wanted = (
        -(len(ids) - 1) * torch.tensor(float(len(tokenizer))).log().item() / (len(text) - first)
    )
    assert making.mean_likelihood(model.eval(), tokenizer, [row]) == pytest.approx(wanted, rel=1e-5)


def test_one_letter_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    said = iter([[" 1 + 1 = 2. #### 2", " #### 3", " who knows"]])
    monkeypatch.setattr(train, "answers", lambda model, tokenizer, rows: next(said))
    rows = [{"question": f"{n}", "answer": "1 + 1 = 2. #### 2"} for n in range(3)]
    assert making.asked(torch.nn.Identity(), None, rows) == "RWN"
