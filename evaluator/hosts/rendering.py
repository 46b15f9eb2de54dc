"""Chat templates rendered by a child process, which is restarted when it takes too long."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evaluator.hosts.templates import MAX_PROMPT, BadTemplate, Messages, read_template

SECONDS = 10.0
"""Longest time of one rendering: a real one takes milliseconds, the first waits for Python."""

_BROKEN = (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
"""Errors of a child that died, or whose answer has no end."""


class Renderer:
    """Renders the chat template of a checkpoint folder. An async context manager.

    ``specials`` are its tokenizer's special tokens by role; by default they are read from its
    files.
    """

    def __init__(
        self,
        folder: Path,
        specials: Mapping[str, str] | None = None,
        *,
        seconds: float = SECONDS,
    ) -> None:
        self._folder = folder
        self._specials = specials
        self._seconds = seconds
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def prompt(self, messages: Messages) -> str:
        """Return the prompt for ``messages``. Raises BadTemplate."""
        async with self._turn:
            try:
                async with asyncio.timeout(self._seconds):
                    reply = await self._exchange(messages)
            except TimeoutError:
                await self._end()
                raise BadTemplate("it takes too long") from None
            except _BROKEN:
                await self._end()
                raise BadTemplate("its rendering failed") from None
            except asyncio.CancelledError:  # else its answer would be read as the next one's
                await self._end()
                raise
        if "prompt" not in reply:
            raise BadTemplate(str(reply.get("bad")))
        return str(reply["prompt"])

    async def _exchange(self, messages: Messages) -> dict[str, Any]:
        if self._child is None:
            template = json.dumps(read_template(self._folder, self._specials))
            self._child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "evaluator.hosts.templates", str(os.getpid())),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=MAX_PROMPT * 8,  # as JSON escapes it
            )
            self._child.stdin.write(template.encode() + b"\n")  # type: ignore[union-attr]
        stdin = self._child.stdin
        stdout = self._child.stdout
        assert stdin is not None and stdout is not None  # noqa: S101 - asked for
        stdin.write(json.dumps(messages).encode() + b"\n")
        await stdin.drain()
        reply: dict[str, Any] = json.loads(await stdout.readuntil())
        return reply

    async def _end(self) -> None:
        if self._child is None:
            return
        child = self._child
        self._child = None
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await asyncio.shield(child.wait())
