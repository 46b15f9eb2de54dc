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


def gpu_need(weights: int, cached: int, context: int, *, share: int = 1) -> int:
    """Return the bytes that a model takes on each of ``share`` GPUs, at least."""
    keys_and_values = 2 * cached * min(context, MAX_CONTEXT)  # two bytes a number
    return GPU_OVERHEAD + (weights + weights // 20 + keys_and_values) // share


def sizes_of(architecture: str, config: Mapping[str, Any], shards: Collection[Tensors]) -> Sizes:
    """Return the sizes of a model with these headers."""
    parameters = 0
    for shard in shards:
        parameters += sum(prod(shape) for shape in dense_shapes(shard.entries, config).values())
    text = config.get("text_config")
    config = {**config, **text} if isinstance(text, dict) else config
    heads = _largest(config, "num_attention_heads", _largest(config, "n_head", 1))
    return Sizes(
        architecture=architecture,
        parameters=parameters,
        weights=sum(shard.size for shard in shards),
        cached=_cached(config, heads),
        context=_largest(
            config, "max_position_embeddings", _largest(config, "n_positions", _DEFAULT_CONTEXT)
        ),
        heads=heads,
    )


def _cached(config: Mapping[str, Any], heads: int) -> int:
    """Return the numbers of keys and values of all layers.

    An upper bound for models that compress them or attend to a window only.
    """
    width = _largest(config, "hidden_size", _largest(config, "n_embd", 1))
    layers = _largest(config, "num_hidden_layers", _largest(config, "n_layer", 1))
    shared = _largest(config, "num_key_value_heads", heads)
    return 2 * layers * shared * _largest(config, "head_dim", max(1, width // heads))


def _largest(config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name)
    numbers = value if isinstance(value, list) else [value]
    positive = [number for number in numbers if type(number) is int and number > 0]
    return max(positive, default=default)
