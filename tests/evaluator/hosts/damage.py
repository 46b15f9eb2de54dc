"""Checkpoints whose weights are not those of the model in their config.json, and some that only look odd."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from evaluator.errors import Code

Weights = dict[str, torch.Tensor]
DOWN = "model.layers.1.mlp.down_proj.weight"
EMBEDDING = "model.embed_tokens.weight"


def read(folder: Path) -> Weights:
    weights: Weights = load_file(folder / "model.safetensors")
    return weights


def write(folder: Path, weights: Weights) -> None:
    save_file(
        {name: tensor.contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def configure(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def change(folder: Path, edit: Callable[[Weights], Weights | None]) -> None:
    weights = read(folder)
    write(folder, edit(weights) or weights)


def prefix(text: str) -> Callable[[Path], None]:
    return lambda folder: change(
        folder, lambda w: {text + name: tensor for name, tensor in w.items()}
    )


def without(part: str) -> Callable[[Path], None]:
    return lambda folder: change(
        folder, lambda w: {name: tensor for name, tensor in w.items() if part not in name}
    )


def spoil(name: str, value: float, *, dtype: torch.dtype = torch.float32) -> Callable[[Path], None]:
    """Set the last number of one tensor."""

    def edit(weights: Weights) -> Weights:
        changed = {key: tensor.to(dtype).clone() for key, tensor in weights.items()}
        changed[name].view(-1)[-1] = value
        return changed

    return lambda folder: change(folder, edit)


def empty(name: str) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda w: {**w, name: torch.zeros_like(w[name])})


def shape(name: str, *size: int) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda w: {**w, name: torch.ones(size)})


def untied(folder: Path) -> None:
    configure(folder, tie_word_embeddings=False)
    change(
        folder, lambda w: {name: tensor for name, tensor in w.items() if name != "lm_head.weight"}
    )


MISSING = Code.CHECKPOINT_MISSING_TENSORS
SHAPES = Code.CHECKPOINT_WRONG_SHAPES
NUMBERS = Code.CHECKPOINT_BAD_NUMBERS
DAMAGES: dict[str, tuple[Callable[[Path], None], Code]] = {
    "untied, no head": (untied, MISSING),
    "prefix base_model": (prefix("base_model.model."), MISSING),
    "prefix transformer": (prefix("transformer."), MISSING),
    "prefix module": (prefix("module."), MISSING),
    "one tensor": (without(DOWN), MISSING),
    "no embedding": (without("embed_tokens"), MISSING),
    "one norm": (without("model.norm"), MISSING),
    "one layer": (without("layers.1."), MISSING),
    "a layer too many": (lambda folder: configure(folder, num_hidden_layers=3), MISSING),
    "a bias in the config": (lambda folder: configure(folder, attention_bias=True), MISSING),
    "wrong shape": (shape(DOWN, 3, 3), SHAPES),
    "transposed": (lambda folder: change(folder, lambda w: {**w, DOWN: w[DOWN].T}), SHAPES),
    "larger vocabulary": (lambda folder: configure(folder, vocab_size=999), SHAPES),
    "empty tensor": (shape(DOWN, 0), SHAPES),
    "nan float32": (spoil(DOWN, float("nan")), NUMBERS),
    "nan bfloat16": (spoil(DOWN, float("nan"), dtype=torch.bfloat16), NUMBERS),
    "nan float16": (spoil(EMBEDDING, float("nan"), dtype=torch.float16), NUMBERS),
    "inf float32": (spoil("model.norm.weight", float("inf")), NUMBERS),
    "inf float16": (spoil(DOWN, float("-inf"), dtype=torch.float16), NUMBERS),
    "inf bfloat16": (spoil(EMBEDDING, float("-inf"), dtype=torch.bfloat16), NUMBERS),
    "overflow in float16": (spoil(DOWN, 1e6, dtype=torch.float16), NUMBERS),
    "zero embedding": (empty(EMBEDDING), NUMBERS),
    "zero matrix": (empty(DOWN), NUMBERS),
    "all zero": (
        lambda folder: change(folder, lambda w: {k: torch.zeros_like(t) for k, t in w.items()}),
        NUMBERS,
    ),
}


def tied_with_head(folder: Path) -> None:
    configure(folder, tie_word_embeddings=True)
    change(folder, lambda w: {**w, "lm_head.weight": w[EMBEDDING].clone()})


def tied_without_head(folder: Path) -> None:
    configure(folder, tie_word_embeddings=True)
    change(
        folder, lambda w: {name: tensor for name, tensor in w.items() if name != "lm_head.weight"}
    )


def in_shards(folder: Path) -> None:
    """Two shards with their index, and with them what Mistral ships: all of it again in one file."""
    weights = read(folder)
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    names = sorted(weights)
    halves = names[: len(names) // 2], names[len(names) // 2 :]
    index = {}
    for number, half in enumerate(halves, 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: weights[name] for name in half}, folder / file)
        index |= dict.fromkeys(half, file)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )


def to(dtype: torch.dtype) -> Callable[[Path], None]:
    return lambda folder: change(
        folder, lambda w: {name: tensor.to(dtype) for name, tensor in w.items()}
    )


def with_buffers(folder: Path) -> None:
    """Buffers that older versions of the library saved, which no model needs: one of them holds infinities."""
    buffers = {
        f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.full((4,), float("inf"))
        for layer in (0, 1)
    }
    change(folder, lambda w: w | buffers)


ODD: dict[str, Callable[[Path], None]] = {
    "as it is": lambda folder: None,
    "tied, head in the file too": tied_with_head,
    "tied, no head in the file": tied_without_head,
    "shards, consolidated": in_shards,
    "float16": to(torch.float16),
    "bfloat16": to(torch.bfloat16),
    "old buffers": with_buffers,
    "saved without the head's prefix": lambda folder: change(
        folder, lambda w: {name.removeprefix("model."): tensor for name, tensor in w.items()}
    ),
    "zero bias": lambda folder: (
        configure(folder, mlp_bias=True),
        change(
            folder,
            lambda w: (
                w
                | {
                    f"{name.removesuffix('.weight')}.bias": torch.zeros(len(t))
                    for name, t in w.items()
                    if ".mlp." in name
                }
            ),
        ),
    )[0],
    "infinite setting": lambda folder: configure(
        folder, time_step_limit=[0.0, float("inf")], bound=float("-inf")
    ),
}
