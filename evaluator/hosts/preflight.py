"""Check that a checkpoint holds the model of its configuration, before an engine loads it.

- The library builds the model without storage and is given tensors without storage, of the names
  and shapes in the files. Tensors that its own loader then reports missing, or of another shape, it
  would fill with random numbers. So tied heads, renamed and merged weights and buffers that are not
  saved are judged as the library loads them.
- Then every number is read once: none may be infinite or not a number, no matrix may be all zeros.

Runs in the model server's jail: ``python -m evaluator.hosts.preflight DIR``. A refusal is a verdict
on standard error.
"""

import argparse
import contextlib
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from evaluator.artefacts.config import read_config
from evaluator.artefacts.quantised import COMPARABLE, dense_shapes, method_of
from evaluator.artefacts.safetensors import Tensor
from evaluator.artefacts.verdicts import line_of
from evaluator.artefacts.weights import read_shards
from evaluator.errors import Code, EvaluatorError, error

_BITS: dict[str, tuple[Any, int]] = {
    "F64": (np.uint64, 0x7FF0 << 48),
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
    "F8_E5M2": (np.uint8, 0x7C),
    "F8_E4M3": (np.uint8, 0x7F),
}
"""Integer type of each number's size, and the smallest non-finite pattern without its sign."""
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_NO_THREADS = "HF_DEACTIVATE_ASYNC_LOAD"
_MOVED_BUFFERS = r"rotary_emb\.inv_freq$|(^|\.)position_ids$"
"""Buffers of old checkpoints that the library computes by itself today."""
_CHUNK = 32 << 20
_SMALLEST_MATRIX = 64
"""Numbers of a matrix that is not all zeros by chance."""


def check(folder: Path) -> None:
    """Check a checkpoint whose headers have been inspected.

    Raises CHECKPOINT_MISSING_TENSORS, CHECKPOINT_WRONG_SHAPES, CHECKPOINT_BAD_NUMBERS,
    CHECKPOINT_UNKNOWN_MODEL, CHECKPOINT_QUANTISED.
    """
    tensors: dict[str, Tensor] = {}
    places: dict[str, tuple[Path, Tensor]] = {}
    for file, shard in read_shards(folder).items():
        for name, tensor in shard.entries.items():
            tensors[name] = tensor
            places[name] = (folder / file, tensor)
    config = read_config(folder / "config.json")
    unused = _check_names(folder, tensors, config)
    used = [place for name, place in places.items() if name not in unused]
    _check_numbers(used)


def special_tokens(folder: Path) -> dict[str, str]:
    """Return the special tokens by role, as Transformers gives them to a chat template."""
    tokenizer = AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    return dict(tokenizer.special_tokens_map)


def _check_names(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: Mapping[str, Any],
) -> frozenset[str]:
    """Compare names and shapes. Returns the tensors that the model does not use.

    What cannot be compared is refused: an engine would fill what is missing without a word.
    """
    if method_of(config) not in COMPARABLE:
        raise error(Code.CHECKPOINT_QUANTISED, method_of(config))
    shapes = dense_shapes(tensors, config)
    try:
        settings = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        if hasattr(settings, "quantization_config"):  # matrices are compared once unpacked
            del settings.quantization_config
        kind = _class_of(settings)
    except Exception:  # noqa: BLE001 - a library's exception may be anything
        raise error(Code.CHECKPOINT_UNKNOWN_MODEL) from None
    if kind is None:
        raise error(Code.CHECKPOINT_UNKNOWN_MODEL)
    with _without_numbers(), FakeTensorMode(allow_non_fake_inputs=True):
        given = {
            name: torch.empty(shape, dtype=_dtype(tensors.get(name)))
            for name, shape in shapes.items()
        }
        try:
            model, loaded = kind.from_pretrained(
                None,
                config=settings,
                state_dict=given,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except (RuntimeError, ValueError, KeyError, IndexError, AttributeError, TypeError):
            raise error(Code.CHECKPOINT_MISSING_TENSORS, "they cannot be put together") from None
    missing = set(loaded["missing_keys"])
    unexpected = set(loaded["unexpected_keys"])
    if missing:
        detail = _describe(missing, unexpected, len(tensors))
        raise error(Code.CHECKPOINT_MISSING_TENSORS, detail)
    if loaded["mismatched_keys"]:
        raise error(Code.CHECKPOINT_WRONG_SHAPES, f"{len(loaded['mismatched_keys'])} tensors")
    patterns = [_MOVED_BUFFERS, *(model._keys_to_ignore_on_load_unexpected or ())]
    ignored = re.compile("|".join(patterns))
    unused = {name for name in tensors if ignored.search(name)}
    return frozenset(unexpected | unused)


def auto_class(architecture: str) -> Any:
    """Return the library's loader of an architecture: of language models, or of a classifier."""
    if architecture.endswith("ForTokenClassification"):
        return AutoModelForTokenClassification
    if architecture.endswith("ForSequenceClassification"):
        return AutoModelForSequenceClassification
    return AutoModelForCausalLM


def _class_of(settings: Any) -> Any:
    """Return the class that loads this configuration, None where the library has none."""
    architectures = settings.architectures or [""]
    named_class = architectures[0]
    mapping = auto_class(named_class)._model_mapping
    if type(settings) not in mapping:
        return getattr(transformers, named_class, None)
    classes = mapping[type(settings)]
    if not isinstance(classes, tuple):
        return classes
    named = [kind for kind in classes if kind.__name__ in architectures]
    return named[0] if named else classes[0]


def _describe(
    missing: set[str],
    unexpected: set[str],
    held: int,
) -> str:
    """Return counts, and one name: that is the library's own, not one from the file."""
    text = min(missing)
    if len(missing) > 1:
        text = f"{len(missing)} tensors, {text} for one"
    if unexpected and len(unexpected) >= held // 2:
        return f"{text}; {len(unexpected)} others have names that the model does not know"
    return text


def _dtype(tensor: Tensor | None) -> torch.dtype:
    if tensor is None:
        return torch.float32
    return _DTYPES.get(tensor.dtype, torch.float32)


@contextlib.contextmanager
def _without_numbers() -> Iterator[None]:
    """Let the library log nothing of the checkpoint, and load tensors that hold no numbers.

    It may load in this thread only. A head that should be tied and is in the file too is taken for
    the same one.
    """
    before = os.environ.get(_NO_THREADS)
    equal = torch.equal
    os.environ[_NO_THREADS] = "1"
    torch.equal = lambda *_: True
    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    for name in ("torch._subclasses.fake_tensor", "torch"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        torch.equal = equal
        if before is None:
            del os.environ[_NO_THREADS]
        else:
            os.environ[_NO_THREADS] = before


def _check_numbers(places: Sequence[tuple[Path, Tensor]]) -> None:
    """Read every floating-point number. Raises CHECKPOINT_BAD_NUMBERS with counts of tensors."""
    infinite = 0
    zeros = 0
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(max(1, min(8, cores))) as readers:
        for tensor, (finite, largest) in readers.map(_extremes, places):
            infinite += not finite
            is_matrix = len(tensor.shape) > 1 and prod(tensor.shape) >= _SMALLEST_MATRIX
            zeros += is_matrix and finite and largest == 0
    if infinite:
        raise error(
            Code.CHECKPOINT_BAD_NUMBERS, f"{infinite} tensors hold infinite numbers or none"
        )
    if zeros:
        raise error(Code.CHECKPOINT_BAD_NUMBERS, f"{zeros} matrices are all zeros")


def _extremes(place: tuple[Path, Tensor]) -> tuple[Tensor, tuple[bool, int]]:
    """Return true if one tensor is all finite, and its largest pattern without the sign.

    Packed ones pass.
    """
    path, tensor = place
    if tensor.dtype not in _BITS or tensor.end == tensor.begin:
        return tensor, (True, 1)
    kind, limit = _BITS[tensor.dtype]
    unsigned = np.iinfo(kind).max >> 1
    largest = 0
    with path.open("rb") as file:
        file.seek(tensor.begin)
        left = tensor.end - tensor.begin
        while left and largest < limit:
            raw = file.read(min(left, _CHUNK))
            if not raw:
                raise error(Code.CHECKPOINT_TRUNCATED, path.name)
            left -= len(raw)
            numbers = np.frombuffer(raw, dtype=kind)
            patterns = np.bitwise_and(numbers, kind(unsigned))
            largest = max(largest, int(patterns.max()))
    return tensor, (largest < limit, largest)


def main() -> int:
    """Check a checkpoint. Prints its special tokens as JSON. Returns 0, or 2 with a verdict."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.preflight")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        check(arguments.folder)
    except EvaluatorError as refused:
        print(line_of(refused), file=sys.stderr)
        return 2
    try:
        tokens: dict[str, str] | None = special_tokens(arguments.folder)
    except Exception:  # noqa: BLE001 - the engine will meet the same exception
        tokens = None
    print(json.dumps(tokens))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
