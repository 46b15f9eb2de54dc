"""Files of a checkpoint that hold its weights, and files that an engine may see.

An index decides if there is one, as in the model libraries: a safetensors file that it does not
name is not read, and a numbered shard that it does not name is an error. Without an index the
weights are ``model.safetensors`` alone.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evaluator.artefacts.config import read_config
from evaluator.artefacts.safetensors import Tensors, read_tensors
from evaluator.errors import Code, error

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_NUMBERED = re.compile(r"model-\d{5}-of-\d{5}\.safetensors", re.ASCII)
_MAX_INDEX_BYTES = 64 << 20
OTHER_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "chat_template.json",
    "quantize_config.json",
    "hf_quant_config.json",
    "preprocessor_config.json",
    "processor_config.json",
)
"""Files other than weights that the engines read. No other file is shown to an engine."""


def read_shards(folder: Path) -> dict[str, Tensors]:
    """Return the headers of the files that hold the weights, by file name.

    Raises CHECKPOINT_NO_WEIGHTS, CHECKPOINT_BAD_HEADER, CHECKPOINT_TRUNCATED.
    """
    index = _read_index(folder)
    if index is None and (folder / SINGLE).is_file():
        return {SINGLE: read_tensors(folder / SINGLE)}
    if index is None:
        detail = ""
        if any(folder.glob("*.safetensors")):
            detail = f"several files and no {INDEX}"
        raise error(Code.CHECKPOINT_NO_WEIGHTS, detail)
    files = set(index.values())
    present = {path.name for path in folder.glob("*.safetensors")}
    if not files:
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    missing = files - present
    if missing:
        raise error(Code.CHECKPOINT_NO_WEIGHTS, f"{len(missing)} files of {INDEX} are missing")
    if any(_NUMBERED.fullmatch(name) for name in present - files):  # a shard of this very model
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    shards = {name: read_tensors(folder / name) for name in sorted(files)}
    _check_index(index, shards)
    return shards


def served_files(folder: Path) -> tuple[Path, ...]:
    """Return the existing files that an engine reads. Raises as ``read_shards`` for a bad index."""
    others = [folder / name for name in (*OTHER_FILES, INDEX)]
    present = [path for path in others if path.is_file()]
    return (*present, *weight_files(folder))


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold the weights, also missing ones.

    Raises as ``read_shards`` for a bad index.
    """
    index = _read_index(folder)
    names = [SINGLE] if index is None else sorted(set(index.values()))
    return tuple(folder / name for name in names)


def indexed_files(folder: Path) -> tuple[str, ...] | None:
    """Return the files that the index names, None without an index. Raises as ``read_shards``."""
    index = _read_index(folder)
    return None if index is None else tuple(index.values())


def _read_index(folder: Path) -> Mapping[str, str] | None:
    """Return the file of each tensor by the index; None without an index."""
    path = folder / INDEX
    if not path.is_file():
        return None
    config = read_config(path, limit=_MAX_INDEX_BYTES)
    index: Any = config.get("weight_map")
    if not isinstance(index, dict):
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    for file in index.values():
        if not isinstance(file, str):
            raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
    return index


def _check_index(index: Mapping[str, str], shards: Mapping[str, Tensors]) -> None:
    """Check that every tensor is in the shard that the index names, and that there is no other."""
    tensors = set()
    for file, shard in shards.items():
        for tensor in shard.entries:
            tensors.add((tensor, file))
    if tensors != set(index.items()):
        raise error(Code.CHECKPOINT_BAD_HEADER, INDEX)
