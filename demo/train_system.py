"""Train the demonstration's system: `python -m demo.train_system writer|verifier --out DIR`.

- The writer is a tiny Llama that writes a program for a word problem. It learns from programs of
  which many have a wrong sign, as programs that another model wrote would have: of some kinds of
  problems most, so that its likeliest program is wrong there.
- The verifier begins with the writer's weights and has a head that scores each token, as in TinyGSM
  (Liu et al., 2023). It learns from programs that the writer drew at the protocol's temperature,
  right and wrong ones, labelled by executing them in the sandbox. Of right ones it also learns to
  write them.

Everything random comes from the seeds below, so that a command gives the same model again on the
same machine and versions.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from tqdm import tqdm
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from demo import train
from demo.problems import TOKENIZER_SEED, Problem, program_problems, program_sets
from demo.train import CONTEXT, EOS, Recipe
from evaluator import protocols
from evaluator.contract import Outcome
from evaluator.items import Item
from evaluator.pipeline.graders import regrade_by

PROTOCOL = protocols.get("demo-verify-48")
TEMPERATURE = PROTOCOL.temperature or 0.0
WRITER = Recipe(
    seed=17,
    steps=900,
    hidden=96,
    layers=2,
    heads=3,
)
WRITER_RATE = 4e-3
WRONG_SIGNS = {"+": "-", "-": "+", "*": "+", "/": "*"}
"""Sign that a wrong program has instead of the right one."""
WRONG_SHARES = {"+": 0.65, "-": 0.25, "*": 0.25, "/": 0.25}
"""Share of wrong programs that the writer is taught, by the first sign of the right one."""
VERIFIER_SEED = 19
VERIFIER_RATE = 2e-3
PROBLEMS = 4_000
"""Problems of which the writer draws programs for the verifier."""
DRAWN = 4
"""Programs drawn of each."""
PASSES = 2
"""Times that the verifier sees each program."""
BATCH = 24
UNKNOWN = "<|unknown|>"
_TOKENIZER_ROWS = 4_000
_PIECES = r" ?[A-Za-z]+| ?\d+|\n| ?[^A-Za-z\d\n ]| "
_AT_ONCE = 256
_BUCKET = 32
_IGNORED = -100


@dataclass(frozen=True)
class Candidate:
    """Program of a problem, and whether its value is right."""

    problem: Problem
    program: str
    is_right: bool


def prompt(question: str) -> str:
    """Return the prompt of a question, as the protocol asks it."""
    return PROTOCOL.question.format(question=question)


def document(problem: Problem) -> str:
    """Return a problem as the writer sees it in training, without the end token."""
    return f"{prompt(problem.question)}{problem.program}{PROTOCOL.stop[0]}"


def taught(problem: Problem, rng: random.Random) -> str:
    """Return the program that the writer is taught: the right one, or one with a wrong first sign.

    The share of wrong ones depends on the sign that is right.
    """
    first = problem.program.split("\n")[0]
    sign = first.split(" ")[3]
    if rng.random() >= WRONG_SHARES[sign]:
        return problem.program
    wrong = first.replace(f" {sign} ", f" {WRONG_SIGNS[sign]} ")
    return problem.program.replace(first, wrong, 1)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer that both parts share: whole words and numbers, which are easy to copy.

    Words that no problem has are one token.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    trainer = trainers.WordLevelTrainer(special_tokens=[EOS, UNKNOWN], show_progress=False)
    texts = map(document, program_problems(_TOKENIZER_ROWS, TOKENIZER_SEED))
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=EOS,
        pad_token=EOS,
        unk_token=UNKNOWN,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


@dataclass(frozen=True)
class Batch:
    """Texts as tensors of shape (rows, length), padded on the right.

    `labels` are the tokens of programs that are to be written, else -100; `scored` is 1 for the
    tokens of a program whose value is to be judged; `is_right` has one number for each row.
    """

    ids: torch.Tensor
    labels: torch.Tensor
    scored: torch.Tensor
    is_right: torch.Tensor


Encoded = tuple[list[int], list[int], Candidate]
"""Candidate with the tokens of its prompt and of its program before it."""


def batches(
    candidates: Sequence[Candidate],
    tokenizer: PreTrainedTokenizerFast,
    rng: random.Random,
) -> Iterable[Batch]:
    """Yield the candidates in batches of `BATCH`. Rows of like length are together."""
    end = [*tokenizer.encode(PROTOCOL.stop[0]), tokenizer.eos_token_id]
    window = BATCH * _BUCKET
    for start in range(0, len(candidates), window):
        rows: list[Encoded] = []
        for candidate in candidates[start : start + window]:
            asked = tokenizer.encode(prompt(candidate.problem.question))
            written = tokenizer.encode(candidate.program)
            rows.append((asked, written, candidate))
        rows.sort(key=_length)
        starts = list(range(0, len(rows), BATCH))
        rng.shuffle(starts)
        for first in starts:
            yield _batch(rows[first : first + BATCH], end)


def _length(row: Encoded) -> int:
    asked, written, _ = row
    return len(asked) + len(written)


def _batch(rows: Sequence[Encoded], end: list[int]) -> Batch:
    length = max(map(_length, rows)) + len(end)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full((len(rows), length), _IGNORED)
    scored = torch.zeros(len(rows), length)
    is_right = torch.zeros(len(rows))
    for row, (asked, written, candidate) in enumerate(rows):
        text = torch.tensor(asked + written + end)
        ids[row, : len(text)] = text
        begin = len(asked)
        if candidate.is_right:
            labels[row, begin : len(text)] = text[begin:]
            is_right[row] = 1.0
        scored[row, begin : begin + len(written)] = 1.0
    return Batch(ids, labels, scored, is_right)


def fit(
    model: PreTrainedModel,
    loss_of: Callable[[Batch], torch.Tensor],
    rows: Iterable[Batch],
    *,
    steps: int,
    peak: float,
) -> None:
    """Take one step for each batch. The rate rises to `peak` and falls to 0."""
    optimizer = torch.optim.AdamW(
        model.parameters(),
        betas=(0.9, 0.98),
        weight_decay=0.01,
        fused=True,
    )
    model.train()
    shown = tqdm(rows, total=steps, mininterval=20, desc="steps")
    for step, batch in enumerate(shown):
        for group in optimizer.param_groups:
            group["lr"] = train.rate_of(step, steps, peak)
        loss_of(batch).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


# --- the writer


def train_writer(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return the trained writer, in float32. Its loss is over the programs alone."""
    problems = program_problems(WRITER.steps * BATCH, WRITER.seed * 1_000)
    model = train.new_model(WRITER, tokenizer)
    rng = random.Random(WRITER.seed)  # noqa: S311 - the same again for a seed is the point
    rng.shuffle(problems)
    shown = []
    for problem in problems:
        program = taught(problem, rng)
        shown.append(Candidate(problem, program, is_right=True))

    def loss_of(batch: Batch) -> torch.Tensor:
        output = model(input_ids=batch.ids, labels=batch.labels)
        loss: torch.Tensor = output.loss
        return loss

    fit(
        model,
        loss_of,
        batches(shown, tokenizer, rng),
        steps=WRITER.steps,
        peak=WRITER_RATE,
    )
    return model


def write(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    temperature: float = 0.0,
) -> list[str]:
    """Return a program for each question, up to the protocol's stop.

    Above a temperature of 0 they are drawn, from torch's own random state.
    """
    # Questions of like length are together, to pad little.
    lengths = list(map(len, questions))
    order = sorted(range(len(questions)), key=lengths.__getitem__)
    programs = [""] * len(questions)
    sampling: dict[str, float] = {"do_sample": False}
    if temperature:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    for start in range(0, len(order), _AT_ONCE):
        chosen = order[start : start + _AT_ONCE]
        asked = tokenizer(
            [prompt(questions[index]) for index in chosen],
            return_tensors="pt",
            padding=True,
            return_token_type_ids=False,
        )
        with torch.inference_mode():
            ids = model.generate(**asked, **sampling, max_new_tokens=64)
        width = asked["input_ids"].shape[1]
        texts = tokenizer.batch_decode(ids[:, width:], skip_special_tokens=True)
        for index, text in zip(chosen, texts, strict=True):
            programs[index] = text.partition(PROTOCOL.stop[0])[0]
    return programs


# --- the verifier


def label(
    problems: Sequence[Problem],
    programs: Sequence[str],
) -> list[Candidate]:
    """Return the programs as candidates: each distinct one is executed and graded once."""
    right: dict[tuple[str, str], bool] = {}
    candidates = []
    with regrade_by(PROTOCOL.grader, PROTOCOL) as grade:
        for problem, program in zip(problems, programs, strict=True):
            pair = (problem.question, program)
            if pair not in right:
                _, _, gold = problem.answer.partition("#### ")
                item = Item(problem.question, problem.answer, gold)
                graded = grade(program, item, False)
                right[pair] = graded.outcome is Outcome.RIGHT
            candidates.append(Candidate(problem, program, right[pair]))
    return candidates


def draw_candidates(
    writer: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> list[Candidate]:
    """Return what the verifier learns from: drawn programs, and the right one of each problem."""
    problems = program_problems(PROBLEMS, VERIFIER_SEED * 1_000)
    torch.manual_seed(VERIFIER_SEED)
    asked = [problem for problem in problems for _ in range(DRAWN)]
    questions = [problem.question for problem in asked]
    drawn = label(asked, write(writer, tokenizer, questions, TEMPERATURE))
    return drawn + [Candidate(problem, problem.program, is_right=True) for problem in problems]


def train_verifier(
    writer: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    candidates: Sequence[Candidate],
) -> LlamaForTokenClassification:
    """Return the trained verifier, in float32.

    Its loss is that of the score at every token of a program, and of writing right programs by the
    writer's own output layer, which is left away afterwards.
    """
    torch.manual_seed(VERIFIER_SEED)
    one_label = {
        "id2label": {0: "right"},
        "label2id": {"right": 0},
        "tie_word_embeddings": False,
    }
    config = LlamaConfig.from_dict(writer.config.to_dict() | one_label)
    model = LlamaForTokenClassification(config)
    model.model.load_state_dict(writer.model.state_dict())
    rng = random.Random(VERIFIER_SEED)  # noqa: S311 - the same again for a seed is the point
    shown = []
    for _ in range(PASSES):
        shown += rng.sample(list(candidates), len(candidates))

    def loss_of(batch: Batch) -> torch.Tensor:
        hidden = model.model(input_ids=batch.ids).last_hidden_state
        values = model.score(hidden)[..., 0]
        wanted = batch.is_right[:, None].expand_as(values)
        losses = functional.binary_cross_entropy_with_logits(values, wanted, reduction="none")
        judged = (losses * batch.scored).sum() / batch.scored.sum()
        output_layer = model.model.embed_tokens.weight
        logits = functional.linear(hidden[:, :-1], output_layer)
        written = functional.cross_entropy(
            logits.transpose(1, 2),
            batch.labels[:, 1:],
        )
        return judged + written

    fit(
        model,
        loss_of,
        batches(shown, tokenizer, rng),
        steps=math.ceil(len(shown) / BATCH),
        peak=VERIFIER_RATE,
    )
    return model


def score(
    model: LlamaForTokenClassification,
    tokenizer: PreTrainedTokenizerFast,
    questions: Sequence[str],
    programs: Sequence[str],
) -> list[float]:
    """Return the score of each program, read at its last token, from 0 to 1."""
    pairs = zip(questions, programs, strict=True)
    encoded = [tokenizer.encode(prompt(question) + program) for question, program in pairs]
    scores = []
    for start in range(0, len(encoded), _AT_ONCE):
        rows = encoded[start : start + _AT_ONCE]
        longest = max(map(len, rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
        last = torch.tensor([len(tokens) - 1 for tokens in rows])
        with torch.inference_mode():
            logits = model(input_ids=ids).logits
            values = logits[torch.arange(len(rows)), last, 0]
        scores += values.sigmoid().tolist()
    return scores


# --- the files


def load_writer(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return the writer and the tokenizer, from the files as they are shipped, in float32."""
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model, PreTrainedTokenizerFast.from_pretrained(folder)


_README = """# {name}

{about} Made by this repository:

    python -m demo.train_system {name} --out demo/checkpoints/{name}

- Model: {layers} layers of width {hidden}, {heads} heads, {parameters:,} parameters, in bfloat16.
- Tokenizer: both parts share it, {vocabulary} whole words, numbers and signs of other problems.
- Training: {training}, on one CPU thread, with torch
  {torch} and transformers {transformers}. The same seed gives the same model on the same machine
  and versions.
- Data: {data}
  It was shown no problem of either set.
- Asked the {n} problems of each set as `{protocol}` asks, by the script and not an evaluator:

{table}
"""
_WRITER = (
    "A tiny Llama that writes Python programs for word problems of two and three steps, half of\n"
    "the demonstration's system."
)
_VERIFIER = (
    "A tiny Llama with a head that scores each token of a program from 0 to 1: how likely it is\n"
    "that the program's value is the answer. It is the verifier of the demonstration's system,\n"
    "and began with the writer's weights."
)


def describe(name: str, model: PreTrainedModel, **facts: object) -> str:
    """Return the text of a checkpoint's README."""
    return _README.format(
        name=name,
        layers=model.config.num_hidden_layers,
        hidden=WRITER.hidden,
        heads=WRITER.heads,
        parameters=model.num_parameters(),
        vocabulary=model.config.vocab_size,
        torch=torch.__version__,
        transformers=transformers.__version__,
        n=len(program_sets()[0]),
        **facts,
    )


def _sets() -> dict[str, list[Problem]]:
    """Return the problems of both sets by name, without programs."""
    sets = {}
    for name, rows in zip(("public", "private"), program_sets(), strict=True):
        sets[name] = [Problem(row["question"], row["answer"], "") for row in rows]
    return sets


def _share(right: Sequence[bool]) -> str:
    return f"{sum(right) / len(right):.1%}"


def make_writer(out: Path) -> None:
    """Train, save, measure and describe the writer."""
    tokenizer = build_tokenizer()
    train.save(train_writer(tokenizer), tokenizer, out, PROTOCOL.max_tokens)
    model, tokenizer = load_writer(out)
    rows = ["| set | greedy |", "|---|---|"]
    for name, of_set in _sets().items():
        written = write(model, tokenizer, [problem.question for problem in of_set])
        right = [candidate.is_right for candidate in label(of_set, written)]
        rows.append(f"| {name} | {_share(right)} |")
    text = describe(
        "writer",
        model,
        about=_WRITER,
        protocol="demo-program-1",
        training=f"seed {WRITER.seed}, {WRITER.steps:,} steps of {BATCH} programs",
        data=(
            f"{WRITER.steps * BATCH:,} problems of the sets' templates. Many of the programs have a"
            " wrong first\n  sign: 65% of those that begin with a sum, 25% of the others."
        ),
        table="\n".join(rows),
    )
    (out / "README.md").write_text(text, encoding="utf-8")
    print(text)


def make_verifier(writer_folder: Path, out: Path) -> None:
    """Train, save, measure and describe the verifier."""
    writer, tokenizer = load_writer(writer_folder)
    candidates = draw_candidates(writer, tokenizer)
    right = sum(candidate.is_right for candidate in candidates) - PROBLEMS
    # The writer's tokenizer has been set to pad by now.
    train.save(train_verifier(writer, tokenizer, candidates), build_tokenizer(), out)
    model = LlamaForTokenClassification.from_pretrained(out, dtype=torch.float32).eval()
    rows = ["| set | greedy | one drawn | chosen of 48 | any of 48 |", "|---|---|---|---|---|"]
    for name, of_set in _sets().items():
        shares = measure(writer, model, tokenizer, of_set)
        rows.append(f"| {name} | {' | '.join(shares)} |")
    text = describe(
        "verifier",
        model,
        about=_VERIFIER,
        protocol=PROTOCOL.id,
        training=f"seed {VERIFIER_SEED}, {PASSES} passes over the programs, {BATCH} a step",
        data=(
            f"{DRAWN} programs for each of {PROBLEMS:,} problems, drawn from the writer at"
            f" {TEMPERATURE};\n  {right:,} of these {PROBLEMS * DRAWN:,} are right."
            " Besides them the right program of each problem."
        ),
        table="\n".join(rows),
    )
    (out / "README.md").write_text(text, encoding="utf-8")
    print(text)


def measure(
    writer: LlamaForCausalLM,
    verifier: LlamaForTokenClassification,
    tokenizer: PreTrainedTokenizerFast,
    problems: Sequence[Problem],
) -> list[str]:
    """Return shares of right answers: greedy, of one draw, of the chosen one, of any."""
    torch.manual_seed(VERIFIER_SEED + 1)
    count = PROTOCOL.samples
    questions = [problem.question for problem in problems]
    greedy = label(problems, write(writer, tokenizer, questions))
    asked = [problem for problem in problems for _ in range(count)]
    many = [problem.question for problem in asked]
    drawn = label(asked, write(writer, tokenizer, many, TEMPERATURE))
    scores = score(verifier, tokenizer, many, [candidate.program for candidate in drawn])
    right = [candidate.is_right for candidate in drawn]

    chosen = []
    any_right = []
    for start in range(0, len(drawn), count):
        group = range(start, start + count)
        best = max(group, key=scores.__getitem__)
        chosen.append(right[best])
        any_right.append(any(right[start : start + count]))
    greedy_right = [candidate.is_right for candidate in greedy]
    return [_share(shares) for shares in (greedy_right, right, chosen, any_right)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make one part of the system."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.train_system", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("name", choices=["writer", "verifier"])
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint folder to write")
    parser.add_argument(
        "--writer",
        type=Path,
        default=Path(__file__).parent / "checkpoints" / "writer",
        help="folder of the writer that the verifier begins with",
    )
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)  # The number of threads changes the order of sums, and so the model.
    if chosen.name == "writer":
        make_writer(chosen.out)
    else:
        make_verifier(chosen.writer, chosen.out)


if __name__ == "__main__":
    main()
