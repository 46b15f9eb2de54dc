"""The files of a checkpoint that hold its weights, and the files that an engine may see.

An index decides where there is one, as it does for the model libraries: a safetensors file that it does not name
is not read, and a numbered shard that it does not name is an error. Without an index the weights are
``model.safetensors`` alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluator.artefacts.config import read_config
from evaluator.artefacts.safetensors import Tensors, read_tensors
from evaluator.errors import Code, error

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_NUMBERED = re.compile(r"model-\d{5}-of-\d{5}\.safetensors", re.ASCII)
_MAX_INDEX_BYTES = 64 << 20
_SERVED = (
    *(
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
    ),
    *(
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "tokenizer.model",
        "chat_template.jinja",
        "chat_template.json",
    ),
    *(
        "quantize_config.json",
        "hf_quant_config.json",
        "preprocessor_config.json",
        "processor_config.json",
    ),
)
"""Files beside the weights that the engines read. Others, whatever they hold, are not shown to an engine."""


def read_shards(folder: Path) -> dict[str, Tensors]:
    """The headers of the files that hold the weights, by file name.

    Raises CHECKPOINT_NO_WEIGHTS, CHECKPOINT_BAD_HEADER, CHECKPOINT_TRUNCATED.
    """
    named = _index(folder)
    if named is None:
        if not (folder / SINGLE).is_file():
            several = any(folder.glob("*.safetensors"))
            raise error(
                Code.CHECKPOINT_NO_WEIGHTS, f"several files and no {INDEX}" if several else ""
            )
        return {SINGLE: read_tensors(folder / SINGLE)}
    files = set(named.values())
    held = {path.name for path in folder.glob("*.safetensors")}
    if not files:
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    if missing := files - held:
        raise error(Code.CHECKPOINT_NO_WEIGHTS, f"{len(missing)} files of {INDEX} are missing")
    if any(_NUMBERED.fullmatch(name) for name in held - files):  # a shard of this very model
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    shards = {name: read_tensors(folder / name) for name in sorted(files)}
    found = {(tensor, shard) for shard, tensors in shards.items() for tensor in tensors.entries}
    if found != set(named.items()):
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    return shards


def served_files(folder: Path) -> tuple[Path, ...]:
    """The files that an engine needs, those of them that are there. Raises as ``read_shards`` for a bad index."""
    return tuple(_served(folder))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files that hold the weights, whether they are there or not. Raises as ``read_shards`` for a bad index."""
    named = _index(folder)
    return tuple(
        folder / name for name in ([SINGLE] if named is None else sorted(set(named.values())))
    )


def _served(folder: Path) -> Iterator[Path]:
    for name in _SERVED:
        if (folder / name).is_file():
            yield folder / name
    if (folder / INDEX).is_file():
        yield folder / INDEX
    yield from weight_files(folder)


def _index(folder: Path) -> Mapping[str, str] | None:
    """The file of each tensor, as the index has it; None where there is no index."""
    path = folder / INDEX
    if not path.is_file():
        return None
    named: Any = read_config(path, limit=_MAX_INDEX_BYTES).get("weight_map")
    if not isinstance(named, dict) or not all(isinstance(file, str) for file in named.values()):
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    return named
