"""The chat template of a checkpoint and the special tokens that it is given. Nothing of it is run here."""

import json
from pathlib import Path
from typing import Any

MAX_TEMPLATE = 1 << 20
"""Characters of a template. Real ones have some ten thousand."""
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
    """The template of a checkpoint folder, as Transformers chooses among the places for it; None for none."""
    template: Any = _read_json(folder / "tokenizer_config.json").get("chat_template")
    alone = folder / "chat_template.jinja"
    if alone.is_file() and alone.stat().st_size <= MAX_TEMPLATE:
        template = alone.read_text(encoding="utf-8", errors="replace")
    elif (folder / "chat_template.json").is_file():
        template = _read_json(folder / "chat_template.json").get("chat_template")
    if isinstance(template, list):  # several, by name
        named = [one for one in template if isinstance(one, dict) and one.get("name") == "default"]
        template = named[0].get("template") if named else None
    return template if isinstance(template, str) and len(template) <= MAX_TEMPLATE else None


def special_tokens(folder: Path) -> dict[str, str]:
    """The special tokens that a checkpoint's files name, by role.

    As Transformers reads them: ``special_tokens_map.json`` decides, unless the tokenizer's configuration is of the
    newer kind, which lists its added tokens itself.
    """
    found = _read_json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" not in found:
        found |= _read_json(folder / "special_tokens_map.json")
    return {name: _token(found[name]) for name in _SPECIALS if found.get(name)}


def _token(value: Any) -> str:
    return str(value.get("content", "")) if isinstance(value, dict) else str(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
