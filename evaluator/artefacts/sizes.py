"""Memory that a checkpoint will need, from its headers and its config alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from evaluator.artefacts.quantised import dense_shapes
from evaluator.artefacts.safetensors import Tensors

MAX_CONTEXT = 40_960
"""Tokens of context that are provided at most: the longest protocol's answer and its prompt."""
GPU_OVERHEAD = 2 << 30
"""Bytes on each GPU: the driver's context, activations, captured graphs."""
_DEFAULT_CONTEXT = 2048
"""Context, in tokens, of a model whose config names none."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a model.

    - ``parameters``: numbers of the model, after unpacking; ``weights``: their bytes as stored.
    - ``cached``: numbers that attention caches for each token of context.
    - ``context``: in tokens.
    - ``heads``: attention heads, by which several GPUs can divide the model.
    """

    architecture: str
    parameters: int
    weights: int
    cached: int
    context: int
    heads: int


def gpu_need(
    weights: int,
    cached: int,
    context: int,
    *,
    share: int = 1,
) -> int:
    """Return the bytes that a model takes on each of ``share`` GPUs, at least."""
    keys_and_values = 2 * cached * min(context, MAX_CONTEXT)  # two bytes a number
    divided = weights + weights // 20 + keys_and_values
    return GPU_OVERHEAD + divided // share


def sizes_of(
    architecture: str,
    config: Mapping[str, Any],
    shards: Collection[Tensors],
) -> Sizes:
    """Return the sizes of a model with these headers."""
    parameters = 0
    for shard in shards:
        shapes = dense_shapes(shard.entries, config)
        for shape in shapes.values():
            parameters += prod(shape)
    text = config.get("text_config")
    if isinstance(text, dict):
        config = {**config, **text}
    context = _largest(config, "max_position_embeddings", "n_positions", default=_DEFAULT_CONTEXT)
    heads = _largest(config, "num_attention_heads", "n_head", default=1)
    # Keys and values of all layers: an upper bound for models that compress them or attend to a
    # window only.
    width = _largest(config, "hidden_size", "n_embd", default=1)
    layers = _largest(config, "num_hidden_layers", "n_layer", default=1)
    shared = _largest(config, "num_key_value_heads", default=heads)
    of_head = _largest(config, "head_dim", default=max(1, width // heads))
    return Sizes(
        architecture=architecture,
        parameters=parameters,
        weights=sum(shard.size for shard in shards),
        cached=2 * layers * shared * of_head,
        context=context,
        heads=heads,
    )


def _largest(
    config: Mapping[str, Any],
    *names: str,
    default: int,
) -> int:
    """Return the largest number under the first of the names that has a positive one."""
    for name in names:
        value = config.get(name)
        numbers = value if isinstance(value, list) else [value]
        positive = [number for number in numbers if type(number) is int and number > 0]
        if positive:
            return max(positive)
    return default
