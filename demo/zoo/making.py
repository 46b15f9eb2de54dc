"""From a recipe to a model's record: train, ask both sets, read their likelihoods."""

import hashlib
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from operator import itemgetter
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


def make(
    name: str,
    work: Path,
    say: Callable[[str], None],
) -> Model:
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
            shape = train.Recipe(
                seed,
                recipe.steps,
                recipe.hidden,
                recipe.layers,
                recipe.heads,
            )
            model = train.new_model(shape, tokenizer)
            peak = train.PEAK_RATE
        texts = [train.document(row) for row in training_rows(recipe, seed)]
        model = train.fit(model, tokenizer, texts, seed, 5.0, peak=peak)
        right = 0
        if recipe.seeds > 1:
            right = asked(model, tokenizer, sets.public_set()).count("R")
        tried.append((right, model))
        say(f"{name}: {number + 1} of {recipe.seeds} trained")
    _, best = max(tried, key=itemgetter(0))
    train.save(best, tokenizer, work / name)
    weights = (work / name / "model.safetensors").read_bytes()
    model = LlamaForCausalLM.from_pretrained(work / name, dtype=torch.float32).eval()
    return Model(
        name=name,
        recipe=digest(name),
        weights=hashlib.sha256(weights).hexdigest(),
        parameters=model.num_parameters(),
        seconds=round(time.process_time() - begin),
        tried=[right for right, _ in tried] if recipe.seeds > 1 else [],
        public=_measured(model, tokenizer, sets.public_set()),
        private=_measured(model, tokenizer, sets.private_set()),
    )


def training_rows(recipe: Recipe, seed: int) -> list[Row]:
    """Return the rows of one training, `recipe.steps * train.BATCH` of them, shuffled."""
    pool = sets.near_copies() if recipe.kind is Kind.COPIES else sets.public_set()
    rows = list(islice(cycle(pool), recipe.shown))
    total = recipe.steps * train.BATCH
    rows += sets.training_set(total - recipe.shown, seed)
    train.shuffle(rows, seed)
    return rows


def _measured(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
) -> SetResult:
    outcomes = asked(model, tokenizer, rows)
    likelihood = mean_likelihood(model, tokenizer, rows)
    return SetResult(outcomes=outcomes, likelihood=round(likelihood, 6))


_LETTERS = {
    Outcome.RIGHT: "R",
    Outcome.WRONG: "W",
    Outcome.NO_ANSWER: "N",
}


def asked(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
) -> str:
    """Return one letter for each row, as `SetResult.outcomes`."""
    letters = ""
    for start in range(0, len(rows), _AT_ONCE):
        together = rows[start : start + _AT_ONCE]
        texts = train.answers(model.eval(), tokenizer, together)
        for text, row in zip(texts, together, strict=True):
            graded = grade(GRADER, text, row["answer"])
            letters += _LETTERS[graded.outcome]
    return letters


def mean_likelihood(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    rows: Sequence[Row],
) -> float:
    """Return the mean log-likelihood per character of the rows, as `loglik-1` reads them."""
    values = []
    for row in rows:
        text = LOGLIK_1.of(Item(row["question"], row["answer"], ""))
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0, :-1]
            scores = torch.log_softmax(logits.double(), dim=-1)
        following = ids[0, 1:, None]
        logprobs = scores.gather(1, following)[:, 0].tolist()
        tokens = [tokenizer.decode([token]) for token in ids[0].tolist()]
        values.append(likely(text, tokens, [None, *logprobs]))
    return mean_per_character(values)
