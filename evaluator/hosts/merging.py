"""Merge an adapter into its base model: ``python -m evaluator.hosts.merging BASE ADAPTER OUT``.

Runs in a jail without a network. Base and adapter are read again here, strictly, since only their
digests are known by then.

- One file of the base's weights is in memory at a time, and each of its matrices that the adapter
  changes becomes a module of its own, for PEFT to merge: no model is built.
- Every other tensor keeps its bytes, and so does a number that the adapter leaves as it is. An
  adapter that changes nothing therefore gives the base model's own weights.

A refusal is a verdict on standard error.
"""

import argparse
import shutil
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors import safe_open
from safetensors.torch import save_file

from evaluator.artefacts.adapters import (
    WEIGHTS,
    Adapter,
    check_base,
    combined,
    read_adapter,
    weights_of,
)
from evaluator.artefacts.verdicts import line_of
from evaluator.artefacts.weights import read_shards
from evaluator.errors import Code, EvaluatorError, error, host_error, is_host_error

_OURS = "default"
_SETTINGS = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")


def merge(base: Path, adapter: Path, out: Path) -> None:
    """Write the merged model into an empty folder.

    Raises the CHECKPOINT_* codes, and those of this host's disk.
    """
    read = read_adapter(adapter)
    check_base(read, base)
    files = combined(base, adapter) | weights_of(base)
    for name, path in files.items():
        if not name.endswith(".safetensors"):
            shutil.copyfile(path, out / name)
    with safe_open(adapter / WEIGHTS, framework="pt") as matrices:
        for name in read_shards(base):
            merged = _merged(base / name, read, matrices)
            save_file(merged, out / name, metadata={"format": "pt"})


def _merged(
    shard: Path,
    adapter: Adapter,
    matrices: Any,
) -> dict[str, torch.Tensor]:
    """Return the tensors of one file of weights, by name."""
    tensors = {}
    with safe_open(shard, framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118 - no mapping
            tensors[name] = opened.get_tensor(name)
            module = name.removesuffix(".weight")
            if name != module and module in adapter.modules:
                pair = {}
                for letter in ("A", "B"):
                    key = adapter.modules[module][letter][0]
                    pair[letter] = matrices.get_tensor(key)
                tensors[name] = _sum(module, tensors[name], pair, adapter.settings)
    return tensors


def _sum(
    module: str,
    weight: torch.Tensor,
    pair: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
) -> torch.Tensor:
    """Return one matrix of the base with the adapter's product added, by PEFT.

    Raises CHECKPOINT_ADAPTER_UNFIT for ranks other than the configuration's, CHECKPOINT_BAD_NUMBERS
    for numbers that are not finite.
    """
    linear = torch.nn.Linear(
        weight.shape[1],
        weight.shape[0],
        bias=False,
        device="meta",
    )
    linear.weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    given = {name: settings[name] for name in _SETTINGS if settings.get(name)}
    model: torch.nn.Module = linear
    for name in reversed(module.split(".")):  # PEFT finds the module's settings by its path
        outer = torch.nn.Module()
        outer.add_module(name, model)
        model = outer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # patterns are of other modules too
        inject_adapter_in_model(LoraConfig(**given, target_modules=[module]), model, _OURS)
    layer = model.get_submodule(module)
    for letter, matrix in pair.items():
        inner = getattr(layer, f"lora_{letter}")[_OURS]
        if inner.weight.shape != matrix.shape:
            raise error(Code.CHECKPOINT_ADAPTER_UNFIT, "the ranks of its matrices differ")
        wide = matrix if matrix.dtype == torch.float64 else matrix.float()  # as PEFT loads them
        inner.weight = torch.nn.Parameter(wide, requires_grad=False)
    layer.merge()
    merged = layer.get_base_layer().weight.data
    if not torch.isfinite(merged).all():
        raise error(Code.CHECKPOINT_BAD_NUMBERS, "the adapter, or its sum with the base model")
    return torch.where(merged == weight, weight, merged)  # 0 plus nothing stays 0, with its sign


def main() -> int:
    """Merge. Returns 0, or 2 with a verdict."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.merging")
    for name in ("base", "adapter", "out"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    try:
        merge(arguments.base, arguments.adapter, arguments.out)
    except EvaluatorError as refused:
        print(line_of(refused), file=sys.stderr)
        return 2
    except OSError as failure:
        if not is_host_error(failure):
            raise
        print(line_of(host_error(failure, "merging")), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
