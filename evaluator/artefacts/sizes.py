"""The memory that a checkpoint will want, from its headers and its config alone."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from evaluator.artefacts.quantised import dense_shapes
from evaluator.artefacts.safetensors import Tensors

_SHORTEST = 2048
"""The context of a model whose config names none."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """``parameters`` and their ``weights`` in bytes as stored; ``cached`` numbers that attention keeps for each token
    of context; the ``context`` in tokens; attention ``heads``, which are what several GPUs can share."""

    architecture: str
    parameters: int
    weights: int
    cached: int
    context: int
    heads: int


def sizes_of(architecture: str, config: Mapping[str, Any], shards: Collection[Tensors]) -> Sizes:
    """Work them out. Packed numbers are counted as many as they stand for, and weighed as they are stored."""
    parameters = sum(
        prod(shape) for shard in shards for shape in dense_shapes(shard.entries, config).values()
    )
    text = config.get("text_config")
    config = {**config, **text} if isinstance(text, dict) else config
    heads = _largest(config, "num_attention_heads", _largest(config, "n_head", 1))
    return Sizes(
        architecture=architecture,
        parameters=parameters,
        weights=sum(shard.size for shard in shards),
        cached=_cached(config, heads),
        context=_largest(
            config, "max_position_embeddings", _largest(config, "n_positions", _SHORTEST)
        ),
        heads=heads,
    )


def _cached(config: Mapping[str, Any], heads: int) -> int:
    """Keys and values of all layers. An upper bound for models that compress them or look at a window only."""
    width = _largest(config, "hidden_size", _largest(config, "n_embd", 1))
    layers = _largest(config, "num_hidden_layers", _largest(config, "n_layer", 1))
    shared = _largest(config, "num_key_value_heads", heads)
    return 2 * layers * shared * _largest(config, "head_dim", max(1, width // heads))


def _largest(config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name)
    numbers = [
        number for number in (value if isinstance(value, list) else [value]) if type(number) is int
    ]
    return max([number for number in numbers if number > 0], default=default)
