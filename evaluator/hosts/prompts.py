"""First prompt of a model as its engine is sent it, with its tokens, for a check before a run.

``python -m evaluator.hosts.prompts FOLDER`` reads ``request.json`` in the folder, which has the
tokenizer and the chat template of a model too. It prints two lines of JSON: the rendered prompt, or
``{"bad": …}``, and then its tokens.

Template and tokenizer are programs: it runs in the jail, with bounds on memory and computing time
of its own, and its parent bounds time and output.
"""

import json
import resource
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evaluator.hosts.templates import BadTemplate, read_template, render

REQUEST = "request.json"
MAX_MEMORY = 2 << 30
"""Bytes of address space: a tokenizer of the largest models takes a sixth of it."""
MAX_SECONDS = 6
"""Seconds of computing."""


def prompt_of(folder: Path, request: dict[str, Any]) -> dict[str, str]:
    """Return the prompt of a request: its text, or that text as a chat's one message."""
    if not request["chat"]:
        return {"prompt": request["text"]}
    try:
        setup = read_template(folder)
        messages = [{"role": "user", "content": request["text"]}]
        return {"prompt": render(setup["template"], setup["specials"], messages)}
    except BadTemplate as problem:
        return {"bad": str(problem)}
    except Exception as problem:  # noqa: BLE001 - a template can cause any
        return {"bad": type(problem).__name__}


def tokens_of(
    folder: Path,
    prompt: str,
    *,
    special: bool,
) -> dict[str, Any]:
    """Return the number of tokens of a prompt, and the special ones that are put around it.

    ``special``: the tokenizer adds its own, as for a text. A rendered chat has them already.
    """
    if find_spec("tokenizers") is None:
        return {"tokens": None}
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    encoding = tokenizer.encode(prompt, add_special_tokens=special)
    if not special:
        return {"tokens": len(encoding.ids)}
    is_added = [bool(mark) for mark in encoding.special_tokens_mask]
    total = len(is_added)
    begin = 0
    while begin < total and is_added[begin]:
        begin += 1
    end = total
    while end > begin and is_added[end - 1]:
        end -= 1
    return {
        "tokens": len(encoding.ids),
        "before": [encoding.tokens[at] for at in range(begin)],
        "after": [encoding.tokens[at] for at in range(end, total)],
    }


def main() -> None:
    """Print both lines."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    folder = Path(sys.argv[1])
    request = json.loads((folder / REQUEST).read_bytes())
    answer = prompt_of(folder, request)
    print(json.dumps(answer), flush=True)
    if "prompt" in answer:
        tokens = tokens_of(folder, answer["prompt"], special=request["special"])
        print(json.dumps(tokens))


if __name__ == "__main__":
    main()
