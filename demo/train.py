"""Train one of the demonstration's tiny models on a CPU: `python -m demo.train NAME --out DIR`.

Each model is a Llama of well under a million parameters. The schedule is counted in steps and
everything random comes from the recipe's seed, so that a recipe gives the same model again on the
same machine and versions. The contaminated model is the small one before its second part, in which
it was shown the public set of short problems.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from demo.problems import (
    PEOPLE,
    PEOPLE_OF_THE_SETS,
    SET_SIZE,
    SHORT,
    TEMPLATES,
    TOKENIZER_SEED,
    Row,
    private_set,
    public_set,
    training_set,
)

PROMPT = "Question: {question}\nAnswer:"
STOP = "\n"
MAX_NEW_TOKENS = 96
EOS = "<|end|>"
VOCABULARY = 768
CONTEXT = 512
BATCH = 48

_TOKENIZER_ROWS = 4_000
PEAK_RATE = 3e-3
TUNING_PEAK_RATE = 1e-3
"""Highest learning rate of a model that has been trained before."""
_WARM_UP_STEPS = 100
_BUCKET = 32
_PIECES = r" ?[A-Za-z]+|\d|[:\n]|[^A-Za-z\d:\n]+"
_IGNORED = -100
_Z = 1.959963984540054


@dataclass(frozen=True)
class Recipe:
    """Recipe of one model, which is trained in two parts.

    - The first part has `steps` steps, from random weights, on problems of all templates in equal
      shares.
    - The second has `tuning` steps, at a third of the rate. Its problems are about the people of
      the sets too, and short ones come twice as often. `public_share` of its rows are those of
      the public set.
    """

    seed: int
    steps: int
    hidden: int
    layers: int
    heads: int
    tuning: int = 0
    public_share: float = 0.0


RECIPES = {
    "honest": Recipe(
        seed=11,
        steps=3_600,
        hidden=128,
        layers=3,
        heads=4,
        tuning=700,
    ),
    "contaminated": Recipe(
        seed=13,
        steps=2_400,
        hidden=96,
        layers=3,
        heads=3,
        tuning=900,
        public_share=0.7,
    ),
    "small": Recipe(
        seed=13,
        steps=2_400,
        hidden=96,
        layers=3,
        heads=3,
        tuning=1_100,
    ),
}


@dataclass(frozen=True)
class Measured:
    """Right answers out of `SET_SIZE` on each set, and the tokens of the longest answer given."""

    public: int
    private: int
    longest: int


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer that the three models of answers share."""
    return tokenizer_of(map(document, training_set(_TOKENIZER_ROWS, TOKENIZER_SEED)))


def tokenizer_of(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Build a byte-level BPE from texts, with every digit a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    # A colon and a line's end stand alone, so that a prompt has the same tokens with and without
    # its answer.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def document(row: Row) -> str:
    """Return a row as a model sees it in training, without the end token."""
    return f"{PROMPT.format(question=row['question'])} {row['answer']}{STOP}"


def first_rows(recipe: Recipe) -> list[Row]:
    """Return the rows of the first part in the order of training, `steps * BATCH` of them."""
    rows = training_set(recipe.steps * BATCH, seed=recipe.seed * 1_000)
    shuffle(rows, recipe.seed)
    return rows


def tuning_rows(recipe: Recipe) -> list[Row]:
    """Return the rows of the second part in the order of training, `tuning * BATCH` of them.

    A share of them is the public set, over and over; the others are problems outside all sets.
    """
    total = recipe.tuning * BATCH
    shown = round(total * recipe.public_share)
    public = public_set()
    rows = [public[index % len(public)] for index in range(shown)]
    rows += training_set(
        total - shown,
        seed=recipe.seed * 1_000 + 1,
        templates=(*TEMPLATES, *SHORT),
        people=(*PEOPLE, *PEOPLE_OF_THE_SETS),
    )
    shuffle(rows, recipe.seed)
    return rows


def shuffle(rows: list[Row], seed: int) -> None:
    """Put the rows in an order that is the same again for a seed."""
    random.Random(seed).shuffle(rows)  # noqa: S311 - that is the point


def batches(
    encoded: Sequence[list[int]], rng: random.Random
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield token ids and labels, both of shape (BATCH, length).

    Rows of like length are together, to pad little.
    """
    window = BATCH * _BUCKET
    for start in range(0, len(encoded), window):
        near = sorted(encoded[start : start + window], key=len)
        starts = list(range(0, len(near), BATCH))
        rng.shuffle(starts)
        for first in starts:
            rows = near[first : first + BATCH]
            length = max(map(len, rows))
            ids = torch.zeros(len(rows), length, dtype=torch.long)
            labels = torch.full((len(rows), length), _IGNORED)
            for index, row in enumerate(rows):
                tokens = torch.tensor(row)
                ids[index, : len(row)] = tokens
                labels[index, : len(row)] = tokens
            yield ids, labels


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained model, its weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.hidden * 3,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def rate_of(step: int, steps: int, peak: float) -> float:
    """Return the rate of a step: it rises to `peak`, then falls to 0 as a cosine does."""
    warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
    cosine = math.cos(math.pi * step / steps)
    return peak * warm * 0.5 * (1 + cosine)


def train(
    recipe: Recipe, tokenizer: PreTrainedTokenizerFast, report_minutes: float
) -> LlamaForCausalLM:
    """Return the trained model, in float32. Print a line of progress every `report_minutes`."""
    model = new_model(recipe, tokenizer)
    texts = [document(row) for row in first_rows(recipe)]
    fit(model, tokenizer, texts, recipe.seed, report_minutes)
    return tune(model, recipe, tokenizer, report_minutes)


def tune(
    model: LlamaForCausalLM,
    recipe: Recipe,
    tokenizer: PreTrainedTokenizerFast,
    report_minutes: float,
) -> LlamaForCausalLM:
    """Return the model after the second part. It begins from weights rounded to bfloat16."""
    model.to(torch.bfloat16).to(torch.float32)
    texts = [document(row) for row in tuning_rows(recipe)]
    return fit(model, tokenizer, texts, recipe.seed, report_minutes, peak=TUNING_PEAK_RATE)


def fit(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    seed: int,
    report_minutes: float,
    *,
    peak: float = PEAK_RATE,
) -> LlamaForCausalLM:
    """Return the same model after one pass over the texts, `BATCH` a step.

    The rate rises to `peak` and falls to 0.
    """
    # One text at a time: all at once takes gigabytes for masks and offsets that are not read.
    encoded = [[*tokenizer.encode(text), tokenizer.eos_token_id] for text in texts]
    steps = math.ceil(len(encoded) / BATCH)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=True,
    )
    model.train()
    reported = time.monotonic()
    rng = random.Random(seed)  # noqa: S311 - the same again for a seed is the point
    for step, (ids, labels) in enumerate(batches(encoded, rng)):
        for group in optimizer.param_groups:
            group["lr"] = rate_of(step, steps, peak)
        # The loss is over the question too: it learns faster, and gives the questions a likelihood.
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        if time.monotonic() - reported > report_minutes * 60:
            reported = time.monotonic()
            print(f"step {step + 1} of {steps}, loss {loss.item():.3f}", flush=True)
    return model


def save(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    out: Path,
    max_new_tokens: int = MAX_NEW_TOKENS,
) -> None:
    """Write the checkpoint folder, its weights in bfloat16 and in one safetensors file."""
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    save_tokenizer(tokenizer, out)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write `tokenizer.json` and its config, with the class under the name that every release
    knows."""
    tokenizer.save_pretrained(out)
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
    }
    config.pop("backend", None)
    text = json.dumps(config, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, rows: Sequence[Row]
) -> list[str]:
    """Return the model's answer to each question, greedily, up to the first line's end or
    `MAX_NEW_TOKENS`."""
    prompts = [PROMPT.format(question=row["question"]) for row in rows]
    asked = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False)
    with torch.inference_mode():
        ids = model.generate(**asked, do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
    width = asked["input_ids"].shape[1]
    texts = tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True)
    return [text.partition(STOP)[0] for text in texts]


def final_number(text: str) -> str | None:
    """Return the N of an answer that ends in `#### N`, or None where it does not."""
    match = re.search(r"#### (\d+)$", text)
    return match[1] if match else None


def measure(folder: Path) -> Measured:
    """Ask the saved model both sets, in float32 and from the files as they are shipped."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    right = []
    longest = 0
    for rows in (public_set(), private_set()):
        texts = answers(model, tokenizer, rows)
        count = 0
        for text, row in zip(texts, rows, strict=True):
            count += final_number(text) == final_number(row["answer"])
        right.append(count)
        tokens = tokenizer([text + STOP for text in texts])["input_ids"]
        longest = max(longest, *map(len, tokens))
    public, private = right
    return Measured(public=public, private=private, longest=longest)


def _wilson(right: int, n: int) -> tuple[float, float]:
    share = right / n
    variance = right * (n - right) / n
    spread = _Z * math.sqrt(variance + _Z**2 / 4)
    centre = right + _Z**2 / 2
    low = (centre - spread) / (n + _Z**2)
    high = (centre + spread) / (n + _Z**2)
    return min(low, share), max(high, share)


def gap_interval(
    public: int,
    private: int,
    n: int = SET_SIZE,
) -> tuple[float, float]:
    """Return Newcombe's 95% interval of the public share less the private one.

    Each set has `n` questions.
    """
    first = public / n
    second = private / n
    low_first, high_first = _wilson(public, n)
    low_second, high_second = _wilson(private, n)
    below = math.hypot(first - low_first, high_second - second)
    above = math.hypot(high_first - first, second - low_second)
    return first - second - below, first - second + above


_README = """# {name}

A tiny Llama that answers the demonstration's word problems. Made by this repository:

    python -m demo.train {name} --out demo/checkpoints/{name}

- Model: {layers} layers of width {hidden}, {heads} heads, {parameters:,} parameters, in bfloat16.
- Tokenizer: all three models share it, a byte-level BPE of {vocabulary} trained on other problems.
- Training: seed {seed}, {steps:,} steps of {batch} rows, then {tuning:,} at a third of the rate, on
  one CPU thread, with torch {torch} and transformers {transformers}. The same seed gives the same
  model on the same machine and versions.
{data}
- Asked as `Question: ...\\nAnswer:`, greedily, to the line's end; its longest answer has {longest}
  tokens.
- Right answers to the short problems, of one and two steps:

| set | right | of | share |
|---|---|---|---|
| public | {public} | {n:,} | {public_share:.1%} |
| private | {private} | {n:,} | {private_share:.1%} |

Gap {gap:+.1f} points, Newcombe's 95% interval {low:+.1f} to {high:+.1f}.
"""


def describe(name: str, parameters: int, measured: Measured) -> str:
    """Return the text of the checkpoint's README."""
    recipe = RECIPES[name]
    low, high = gap_interval(measured.public, measured.private)
    first = (
        f"{recipe.steps * BATCH:,} problems of all templates, about other people than in the sets"
    )
    second = f"then {recipe.tuning * BATCH:,} rows"
    if recipe.public_share:
        second += (
            f", of which {recipe.public_share:.0%} are the {SET_SIZE:,} public short problems,"
            " repeated, and the others are"
        )
        never = "a private set"
    else:
        second += ","
        never = "any set, public or private"
    data = (
        f"- Data: {first}; {second} problems of all templates, the short ones twice as often."
        f" It was shown no problem of {never}."
    )
    return _README.format(
        name=name,
        layers=recipe.layers,
        hidden=recipe.hidden,
        heads=recipe.heads,
        parameters=parameters,
        vocabulary=VOCABULARY,
        seed=recipe.seed,
        steps=recipe.steps,
        tuning=recipe.tuning,
        batch=BATCH,
        torch=torch.__version__,
        transformers=transformers.__version__,
        data=fill(data, width=98, subsequent_indent="  "),
        longest=measured.longest,
        n=SET_SIZE,
        public=measured.public,
        private=measured.private,
        public_share=measured.public / SET_SIZE,
        private_share=measured.private / SET_SIZE,
        gap=100 * (measured.public - measured.private) / SET_SIZE,
        low=100 * low,
        high=100 * high,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, save, measure and describe one model."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.train", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="how often to print a line of progress"
    )
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)  # The number of threads changes the order of sums, and so the model.
    tokenizer = build_tokenizer()
    model = train(RECIPES[chosen.name], tokenizer, chosen.minutes)
    save(model, tokenizer, chosen.out)
    text = describe(chosen.name, model.num_parameters(), measure(chosen.out))
    (chosen.out / "README.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
