"""LoRA adapters on the demo's smallest checkpoint, made without a library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from demo.programs import ROOT

SMALL = ROOT / "demo" / "checkpoints" / "small"
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "base_model_name_or_path": None,
    "revision": None,
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "down_proj"],
    "bias": "none",
}


def targets(base: Path = SMALL) -> dict[str, tuple[int, ...]]:
    """Shapes of the matrices that the adapters change, by their names without ``.weight``."""
    with safe_open(base / "model.safetensors", framework="numpy") as opened:
        return {
            name.removesuffix(".weight"): tuple(opened.get_slice(name).get_shape())
            for name in opened.keys()  # noqa: SIM118 - no mapping
            if name.endswith(("q_proj.weight", "down_proj.weight"))
        }


def matrices(*, rank: int = 4, scale: float = 0.1, seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors of an adapter. With a ``scale`` of 0 it changes nothing."""
    draw = np.random.default_rng(seed)
    found = {}
    for name, (out, into) in targets().items():
        prefix = f"base_model.model.{name}"
        found[f"{prefix}.lora_A.weight"] = draw.normal(size=(rank, into)).astype(np.float32)
        second = scale * draw.normal(size=(out, rank))
        found[f"{prefix}.lora_B.weight"] = second.astype(np.float32)
    return found


def adapter(
    *, tensors: dict[str, np.ndarray] | None = None, scale: float = 0.1, **config: Any
) -> dict[str, bytes]:
    """Files of an adapter, by name."""
    weights = matrices(scale=scale) if tensors is None else tensors
    return {
        "adapter_config.json": json.dumps(CONFIG | config).encode(),
        "adapter_model.safetensors": save(weights),
    }


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files into a new folder, and return it."""
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder
