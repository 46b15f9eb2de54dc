"""Checkpoint loaded by Transformers: configuration, tokenizer and model."""

import errno
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoConfig, AutoTokenizer

from evaluator.errors import Code, error


class Loaded(NamedTuple):
    """Model on its device, ready to be run, with its tokenizer and its configuration."""

    config: Any
    tokenizer: Any
    model: Any

    @property
    def context(self) -> int:
        """Tokens of context; far above any request where the configuration states none."""
        text = self.config.get_text_config()
        positions = getattr(text, "max_position_embeddings", None)
        return int(positions or 1 << 20)


def load(folder: Path, kind: Any) -> Loaded:
    """Load a checkpoint as a model of the library's class ``kind``.

    Raises HOST_FAILED where it cannot be loaded, CHECKPOINT_MISSING_TENSORS.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    local = {"trust_remote_code": False, "local_files_only": True}
    try:
        config = AutoConfig.from_pretrained(folder, **local)
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model, loaded = kind.from_pretrained(
            folder,
            config=config,
            dtype=dtype_on(device),
            use_safetensors=True,
            output_loading_info=True,
            **local,
        )
    except Exception as problem:  # noqa: BLE001 - the library's exceptions quote the files
        number = problem.errno if isinstance(problem, OSError) else None
        name = errno.errorcode.get(number or 0, "")
        cause = f"{type(problem).__name__} {name}".strip()
        raise error(Code.HOST_FAILED, cause) from None
    # A configuration may name other files than were checked.
    if loaded["missing_keys"] or loaded["mismatched_keys"]:
        raise error(Code.CHECKPOINT_MISSING_TENSORS, "in the files that its config.json names")
    return Loaded(config, tokenizer, model.to(device).eval())


def dtype_on(device: str) -> torch.dtype:
    """Return the number format that our own hosts compute in."""
    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
