"""Configuration files of a checkpoint: what is read of them, and what is refused."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evaluator.artefacts.strict_json import NotStrict, read_object
from evaluator.errors import Code, error

MAX_CONFIG_BYTES = 4 << 20
MAX_TOKENIZER_BYTES = 64 << 20
"""Twice the largest of the well-known models, which have vocabularies of 262,144 tokens."""
_OTHER_CONFIGS = (
    "tokenizer_config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "preprocessor_config.json",
    "processor_config.json",
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{0,100}")
_CLASSES = ("tokenizer_class", "model_type", "processor_class")
"""Keys by whose values a library chooses the code that it runs."""
LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration")
"""Endings of the architectures that can be asked for text."""
CLASSIFIERS = ("ForTokenClassification", "ForSequenceClassification")
"""Endings of the architectures that have a head of their own, and can be asked for no text."""
VERIFIERS = (*CLASSIFIERS, "ForCausalLM")
"""Endings of the architectures that can score a candidate of another model."""
_LAYERS = 1 << 12
_SIZES = {
    "hidden_size": 1 << 20,
    "intermediate_size": 1 << 22,
    "vocab_size": 1 << 24,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": 1 << 14,
    "num_key_value_heads": 1 << 14,
    "head_dim": 1 << 16,
    "max_position_embeddings": 1 << 30,
}
"""Integers that determine allocations of a library, each with a bound far above real models."""


def read_architecture(folder: Path, endings: tuple[str, ...] = LANGUAGE_MODELS) -> str:
    """Return the architecture that config.json names, which has one of the ``endings``.

    Raises CHECKPOINT_NO_CONFIG, CHECKPOINT_BAD_CONFIG, CHECKPOINT_REMOTE_CODE.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise error(Code.CHECKPOINT_NO_CONFIG)
    config = read_config(path)
    _check_sizes(config, path.name)
    match config.get("architectures"):
        case [str(name)]:
            if _IDENTIFIER.fullmatch(name) and name.endswith(endings):
                return name
    raise error(Code.CHECKPOINT_BAD_CONFIG, "architectures")


def read_config(path: Path, limit: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file of a checkpoint.

    Raises CHECKPOINT_BAD_CONFIG, and CHECKPOINT_REMOTE_CODE if it asks for the checkpoint's own
    code.
    """
    if path.stat().st_size > limit:
        raise error(Code.CHECKPOINT_BAD_CONFIG, path.name)
    try:
        config = read_object(path.read_bytes(), infinity=True)
    except NotStrict:
        raise error(Code.CHECKPOINT_BAD_CONFIG, path.name) from None
    for key, value in _walk(config):
        if key in ("auto_map", "trust_remote_code") and value:
            raise error(Code.CHECKPOINT_REMOTE_CODE, path.name)
        if key not in _CLASSES or value is None:
            continue
        # Dots, slashes or colons in a name could lead to another module.
        if not isinstance(value, str) or not _PLAIN_NAME.fullmatch(value):
            raise error(Code.CHECKPOINT_REMOTE_CODE, path.name)
    return config


def check_tokenizer(folder: Path) -> None:
    """Check that there is a fast tokenizer and that no other configuration asks for code.

    The tokenizer itself is a program: it is built in the jail only. Raises CHECKPOINT_NO_TOKENIZER,
    CHECKPOINT_BAD_CONFIG, CHECKPOINT_REMOTE_CODE.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise error(Code.CHECKPOINT_NO_TOKENIZER)
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise error(Code.CHECKPOINT_BAD_CONFIG, path.name)
    try:
        read_object(path.read_bytes())
    except NotStrict:
        raise error(Code.CHECKPOINT_BAD_CONFIG, path.name) from None
    check_other_configs(folder)


def check_other_configs(folder: Path) -> None:
    """Check that no configuration but the model's own asks for code. Raises as above."""
    for name in _OTHER_CONFIGS:
        if (folder / name).is_file():
            read_config(folder / name)


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key in a JSON value at any depth, with its value."""
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield from node.items()
            stack += node.values()
        elif isinstance(node, list):
            stack += node


def _check_sizes(config: Mapping[str, Any], name: str) -> None:
    for key, value in _walk(config):
        if key not in _SIZES or value is None:
            continue
        # some architectures have one number for each layer
        numbers = value if isinstance(value, list) else [value]
        integers = [number for number in numbers if type(number) is int]
        in_range = [number for number in integers if 0 < number <= _SIZES[key]]
        if len(numbers) > _LAYERS or len(in_range) < len(numbers):
            raise error(Code.CHECKPOINT_BAD_CONFIG, f"{name}: {key}")
