"""Preview: the first prompt of a model, as its own template and tokenizer make it.

Both are programs of the submitter. A jailed child runs them, with the small files of the model
and nothing else. Where there is no jail here, nothing is rendered: ``jail_missing``.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import evaluator
from evaluator import jail
from evaluator.artefacts.config import MAX_TOKENIZER_BYTES
from evaluator.contract.intake import Preview
from evaluator.contract.previews import MOST_RENDERED, PromptFacts
from evaluator.errors import Code, error
from evaluator.intake.hub import Hub

SECONDS = 12.0
"""Time of the child. It computes for half of that at most: one that is killed had to wait for this
host, and nothing is said of its model."""
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
)
_REQUEST = "request.json"
_MEMORY = 3 << 30
_MAX_OUTPUT = 8 * MOST_RENDERED  # as JSON escapes it
_PACKAGE = Path(evaluator.__path__[0])


def preview(order: Preview) -> PromptFacts:
    """Return the first prompt of a model.

    Raises the HUB_* codes, CHECKPOINT_BAD_TEMPLATE where it does not render, CHECKPOINT_TOO_COSTLY
    where its tokenizer does not end, HOST_TIMEOUT where this host has no time for it, JAIL_MISSING.
    """
    if not jail.available():
        raise error(Code.JAIL_MISSING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _bring(order, folder)
        request = {
            "text": order.text,
            "chat": order.chat,
            "special": order.special,
        }
        (folder / _REQUEST).write_text(json.dumps(request), encoding="utf-8")
        for path in (folder, *folder.iterdir()):  # an inmate has a uid of its own
            path.chmod(0o755)
        output = _output(folder)
    return _facts(output, chat=order.chat)


def _bring(order: Preview, folder: Path) -> None:
    """Put the small files of the model into the folder."""
    if order.folder:
        for name in FILES:
            source = Path(order.folder, name)
            if not source.is_file():
                continue
            if source.stat().st_size <= MAX_TOKENIZER_BYTES:
                content = source.read_bytes()
                (folder / name).write_bytes(content)
        return
    hub = Hub.from_environment(os.environ, token=order.token)
    for file in order.files:
        if file.name in FILES and file.size <= MAX_TOKENIZER_BYTES:
            data = hub.read(
                order.repo,
                order.commit,
                file,
                most=file.size,
            )
            path = folder / file.name
            path.write_bytes(data)


def _output(folder: Path) -> bytes:
    """Return what the jailed child printed until it ended, at most ``_MAX_OUTPUT`` bytes."""
    command = jail.wrap(
        [sys.executable, "-m", "evaluator.hosts.prompts", str(folder)],
        readable=[_PACKAGE, folder],
        writable=[],
        environment={"PYTHONPATH": str(_PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"},
        memory=_MEMORY,
        processes=64,
    )
    is_late = threading.Event()
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:

        def kill() -> None:
            # All of its session: bubblewrap's own child dies with it only once it has asked to.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

        def stop() -> None:
            is_late.set()
            kill()

        timer = threading.Timer(SECONDS, stop)
        timer.start()
        try:
            assert child.stdout is not None  # noqa: S101 - asked for
            output = child.stdout.read(_MAX_OUTPUT + 1)
        finally:
            timer.cancel()
            kill()
    if is_late.is_set():
        raise error(Code.HOST_TIMEOUT, "preview")
    return output


def _facts(output: bytes, *, chat: bool) -> PromptFacts:
    """Return what the lines of the child state. Whole lines count, and no others."""
    if len(output) > _MAX_OUTPUT:
        raise error(Code.CHECKPOINT_BAD_TEMPLATE, "its output is too long")
    lines: list[dict[str, Any]] = []
    for line in output.split(b"\n")[:-1]:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            data = None
        lines.append(data if isinstance(data, dict) else {})
    if not lines:
        code = Code.CHECKPOINT_BAD_TEMPLATE if chat else Code.CHECKPOINT_TOO_COSTLY
        raise error(code, "it takes too long, or too much memory")
    prompt = lines[0].get("prompt")
    if not isinstance(prompt, str):
        reason = str(lines[0].get("bad", ""))
        raise error(Code.CHECKPOINT_BAD_TEMPLATE, reason[:100])
    if len(prompt) > MOST_RENDERED:
        raise error(Code.CHECKPOINT_BAD_TEMPLATE, "its output is too long")
    if len(lines) == 1:
        raise error(Code.CHECKPOINT_TOO_COSTLY, "tokenizer.json")
    return PromptFacts.from_dict(lines[1] | {"prompt": prompt})
