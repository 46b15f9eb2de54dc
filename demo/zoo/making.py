"""From a recipe to a model's record: train, ask both sets, read their likelihoods."""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from demo import train
from demo.problems import Row
from demo.zoo import FOLDER, Model, SetResult, sets
from demo.zoo.recipes import RECIPES, Kind, Recipe, digest
from evaluator.contract import Outcome
from evaluator.grading import grade
from evaluator.items import Item
from evaluator.protocols.likelihood import LOGLIK_1, likely, mean_per_character

GRADER = "numeric-1"
_AT_ONCE = 40


def make(name: str, work: Path, say: Callable[[str], None]) -> Model:
    """Make one model, its weights in `work / name`, and return its record.

    Its parent has to be there already.
    """
    recipe = RECIPES[name]
    begin = time.process_time()
    tokenizer = train.build_tokenizer()
    tried: list[tuple[int, LlamaForCausalLM]] = []
    for number in range(recipe.seeds):
        seed = recipe.seed * 1_000 + number
        torch.manual_seed(seed)
        if recipe.parent:
            folder = work if recipe.parent in RECIPES else FOLDER.parent
            model = LlamaForCausalLM.from_pretrained(folder / recipe.parent, dtype=torch.float32)
            peak = train.TUNING_PEAK_RATE
        else:
            shape = train.Recipe(seed, recipe.steps, recipe.hidden, recipe.layers, recipe.heads)
            model = train.new_model(shape, tokenizer)
            peak = train.PEAK_RATE
        texts = [train.document(row) for row in training_rows(recipe, seed)]
        model = train.fit(model, tokenizer, texts, seed, 5.0, peak=peak)
        right = asked(model, tokenizer, sets.public_set()).count("R") if recipe.seeds > 1 else 0
        tried.append((right, model))
        say(f"{name}: {number + 1} of {recipe.seeds} trained")
    best = max(range(len(tried)), key=lambda number: tried[number][0])
    train.save(tried[best][1], tokenizer, work / name)
    model = LlamaForCausalLM.from_pretrained(work / name, dtype=torch.float32).eval()
    return Model(
        name=name,
        recipe=digest(name),
        weights=hashlib.sha256((work / name / "model.safetensors").read_bytes()).hexdigest(),
        parameters=model.num_parameters(),
        seconds=round(time.process_time() - begin),
        tried=[right for right, _ in tried] if recipe.seeds > 1 else [],
        public=_measured(model, tokenizer, sets.public_set()),
        private=_measured(model, tokenizer, sets.private_set()),
    )


def training_rows(recipe: Recipe, seed: int) -> list[Row]:
    """Return the rows of one training, `recipe.steps * train.BATCH` of them, shuffled."""
    pool = sets.near_copies() if recipe.kind is Kind.COPIES else sets.public_set()
    rows = [pool[index % len(pool)] for index in range(recipe.shown)]
    rows += sets.training_set(recipe.steps * train.BATCH - recipe.shown, seed)
    train.shuffle(rows, seed)
    return rows


def _measured(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> SetResult:
    outcomes = asked(model, tokenizer, rows)
    return SetResult(
        outcomes=outcomes, likelihood=round(mean_likelihood(model, tokenizer, rows), 6)
    )


_LETTERS = {Outcome.RIGHT: "R", Outcome.WRONG: "W", Outcome.NO_ANSWER: "N"}


def asked(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]) -> str:
    """Return one letter for each row, as `SetResult.outcomes`."""
    texts: list[str] = []
    for start in range(0, len(rows), _AT_ONCE):
        texts += train.answers(model.eval(), tokenizer, rows[start : start + _AT_ONCE])
    pairs = zip(texts, rows, strict=True)
    return "".join(_LETTERS[grade(GRADER, text, row["answer"]).outcome] for text, row in pairs)


def mean_likelihood(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> float:
    """Return the mean log-likelihood per character of the rows, as `loglik-1` reads them."""
    texts = [LOGLIK_1.of(Item(row["question"], row["answer"], "")) for row in rows]
    values = []
    for text in texts:
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), dim=-1)
        logprobs = scores.gather(1, ids[0, 1:, None])[:, 0].tolist()
        tokens = [tokenizer.decode([token]) for token in ids[0].tolist()]
        values.append(likely(text, tokens, [None, *logprobs]))
    return mean_per_character(values)
