"""An endpoint that always answers a question the same way, started for a test."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

STEADY = Path(__file__).parents[1] / "servers" / "steady.py"


class Steady:
    """A running endpoint. ``system`` is how a job names it."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self.child = child
        assert child.stdout is not None
        self.url = child.stdout.readline().strip()
        self.system = {"kind": "endpoint", "url": self.url, "model": "steady", "api": "completions"}

    def received(self) -> dict[str, int]:
        """How often each question was asked."""
        with urllib.request.urlopen(
            self.url.removesuffix("/v1") + "/received", timeout=10
        ) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def faults(self) -> dict[str, Any]:
        """What went wrong on purpose, and what did not: see ``steady.py``."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/faults", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextlib.contextmanager
def steady_endpoints() -> Iterator[Callable[..., Steady]]:
    """Starts endpoints that know the answers in a file and take ``latency`` seconds; they end with the block.

    Further words are options of ``steady.py``.
    """
    with contextlib.ExitStack() as stack:

        def begin(gold: Path, latency: float, *options: str) -> Steady:
            command = [
                sys.executable,
                str(STEADY),
                "--gold",
                str(gold),
                "--latency",
                str(latency),
                *options,
            ]
            child = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(child.kill)
            return Steady(child)

        yield begin
