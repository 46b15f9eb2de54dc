"""Chat template and special tokens of a checkpoint. No template is rendered here."""

import json
from pathlib import Path
from typing import Any

MAX_TEMPLATE = 1 << 20
"""Characters of a template. Real ones have about ten thousand."""
_SPECIALS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "pad_token",
    "sep_token",
    "cls_token",
    "mask_token",
)


def chat_template(folder: Path) -> str | None:
    """Return the template of a checkpoint, None for none.

    Of several files, the one that Transformers prefers.
    """
    config = _read_json(folder / "tokenizer_config.json")
    template: Any = config.get("chat_template")
    alone = folder / "chat_template.jinja"
    if alone.is_file() and alone.stat().st_size <= MAX_TEMPLATE:
        template = alone.read_text(encoding="utf-8", errors="replace")
    elif (folder / "chat_template.json").is_file():
        file = _read_json(folder / "chat_template.json")
        template = file.get("chat_template")
    if isinstance(template, list):
        named = [entry for entry in template if isinstance(entry, dict)]
        template = None
        for entry in named:
            if entry.get("name") == "default":
                template = entry.get("template")
                break
    if isinstance(template, str) and len(template) <= MAX_TEMPLATE:
        return template
    return None


def special_tokens(folder: Path) -> dict[str, str]:
    """Return the special tokens that a checkpoint's files name, by role.

    As Transformers reads them: ``special_tokens_map.json`` decides, unless the tokenizer's
    configuration is of the newer kind, which lists its added tokens itself.
    """
    config = _read_json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:
        config |= _read_json(folder / "special_tokens_map.json")
    tokens = {}
    for role in _SPECIALS:
        value = config.get(role)
        if not value:
            continue
        if isinstance(value, dict):
            value = value.get("content", "")
        tokens[role] = str(value)
    return tokens


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
