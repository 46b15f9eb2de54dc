"""How much memory a checkpoint will want, from its headers and its config alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.artefacts.config import read_architecture, read_config
from evaluator.artefacts.safetensors import read_tensors
from evaluator.errors import Code, error

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


def read_sizes(folder: Path) -> Sizes:
    """Read them. Raises the CHECKPOINT_* codes; call ``inspect_checkpoint`` first, which checks more."""
    try:
        architecture = read_architecture(folder)
        config = read_config(folder / "config.json")
        shards = [read_tensors(path) for path in folder.glob("*.safetensors")]
    except OSError:
        raise error(Code.CHECKPOINT_BAD_FILE) from None
    text = config.get("text_config")
    config = {**config, **text} if isinstance(text, dict) else config
    heads = _largest(config, "num_attention_heads", _largest(config, "n_head", 1))
    return Sizes(
        architecture=architecture,
        parameters=sum(shard.parameters for shard in shards),
        weights=sum(shard.size for shard in shards),
        cached=_cached(config, heads),
        context=_largest(config, "max_position_embeddings", _largest(config, "n_positions", _SHORTEST)),
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
    numbers = [number for number in (value if isinstance(value, list) else [value]) if type(number) is int]
    return max([number for number in numbers if number > 0], default=default)
