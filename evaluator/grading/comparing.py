"""The jailed child that compares expressions, from the outside."""

import contextlib
import json
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from evaluator import jail
from evaluator.errors import Code, error

_CHILD = Path(__file__).parents[1] / "hosts" / "expressions.py"
_MEMORY = 2 << 30
_PROCESSES = 16
_SECONDS = 120.0
"""Seconds after which a child that does not reply is lost: twice its own limit."""


class Comparer:
    """The child, started when it is first needed and again where it was lost.

    It serves every thread in turn, holds no key, and ends with this process.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def ask(self, request: dict[str, Any]) -> dict[str, str]:
        """Return the reply to a request (see ``hosts/expressions.py``).

        Raises ``jail_missing``, ``sandbox_failed``, ``host_resources``.
        """
        line = json.dumps(request).encode("ascii") + b"\n"
        with self._turn:
            for _attempt in range(2):  # it ends with the thread that started it
                with contextlib.suppress(OSError, ValueError):
                    reply: dict[str, str] = json.loads(self._exchange(line))
                    return reply
                self._end()
        raise error(Code.SANDBOX_FAILED, "the comparison of expressions does not reply")

    def close(self) -> None:
        """End the child, after the request that it serves. The next request starts another."""
        with self._turn:
            self._end()

    def _exchange(self, line: bytes) -> bytes:
        if self._child is None:
            command = jail.wrap(
                [sys.executable, "-s", "-P", str(_CHILD)],
                readable=[_CHILD],
                writable=[],
                environment={"PYTHONHASHSEED": "0"},  # the order of a set decides no verdict
                memory=_MEMORY,
                processes=_PROCESSES,
            )
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
            )
        stdin = self._child.stdin
        stdout = self._child.stdout
        assert stdin is not None and stdout is not None  # noqa: S101 - asked for
        stdin.write(line)
        stdin.flush()
        end = time.monotonic() + _SECONDS
        reply = b""
        while not reply.endswith(b"\n"):
            left = max(0.0, end - time.monotonic())
            ready, _, _ = select.select([stdout], [], [], left)
            chunk = stdout.read1(1 << 16) if ready else b""  # type: ignore[attr-defined]
            if not chunk:
                raise OSError
            reply += chunk
        return reply

    def _end(self) -> None:
        if self._child is None:
            return
        child = self._child
        self._child = None
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


COMPARER = Comparer()
"""The child of this process."""
