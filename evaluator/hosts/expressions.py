"""Child that compares mathematical expressions, with math-verify. It is started in a jail.

SymPy evaluates what it reads. Therefore nothing of a run is in this process, and each comparison
has a process of its own, with limits: what one expression does reaches no other.


A request and a reply are one line of JSON each:

- ``{"response": text or null, "gold": text}``; without a response, the gold answer is compared with
  itself.
- ``{"verdict": one of VERDICTS, "read": the expression that was read}``. ``unread`` is the gold
  answer that cannot be read, ``limit`` a comparison beyond the limits.

The file is run as a script and imports nothing of this package.
"""

import contextlib
import json
import os
import resource
import select
import signal
import sys
import time
from importlib.metadata import version
from typing import Any

VERDICTS = ("right", "wrong", "none", "unread", "limit")
VERSIONS = {"math-verify": "0.9.0", "latex2sympy2-extended": "1.11.0", "sympy": "1.14.0"}
"""Versions under which the grader was published: another one may read otherwise."""
CPU_SECONDS = 5
WALL_SECONDS = 60.0
MEMORY = 1 << 30
"""Bytes of address space of one comparison, beyond those of this process."""
_LONGEST_READ = 200


def main() -> None:
    """Answer requests until standard input ends. Ends with status 3 under other versions."""
    if any(version(name) != wanted for name, wanted in VERSIONS.items()):
        sys.exit(3)
    import math_verify  # noqa: F401, PLC0415 - loaded once, before the first fork

    for line in sys.stdin.buffer:
        reply = _compared_in_child(json.loads(line))
        sys.stdout.buffer.write(json.dumps(reply).encode("ascii") + b"\n")
        sys.stdout.buffer.flush()


def _compared_in_child(request: dict[str, Any]) -> dict[str, str]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            _limit()
            os.write(writing, json.dumps(_compared(**request)).encode("ascii"))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    try:
        text = _read_within(reading, WALL_SECONDS)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    try:
        reply: dict[str, str] = json.loads(text)
    except ValueError:
        return {"verdict": "limit", "read": ""}
    return reply


def _limit() -> None:
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123 - once in a process
        held = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))


def _read_within(descriptor: int, seconds: float) -> bytes:
    """Return all that is written before the end, or nothing where the time is up."""
    end = time.monotonic() + seconds
    text = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return b""
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return text
        text += chunk


def _compared(response: str | None, gold: str) -> dict[str, str]:
    from math_verify import parse, verify  # noqa: PLC0415 - loaded already

    wanted = _gold(gold)
    if not wanted:
        return {"verdict": "unread", "read": ""}
    found = wanted if response is None else parse(response, parsing_timeout=None)
    if not found:
        return {"verdict": "none", "read": ""}
    right = verify(wanted, found, timeout_seconds=None)
    texts = [part for part in found if isinstance(part, str)]
    read = texts[-1] if texts else str(found[0])
    return {"verdict": "right" if right else "wrong", "read": read[:_LONGEST_READ]}


def _gold(gold: str) -> list[Any]:
    """Return the gold answer as it is written, or as LaTeX without its marks."""
    from math_verify import parse  # noqa: PLC0415 - loaded already

    marked = gold if "$" in gold or "\\boxed" in gold else f"$\\boxed{{{gold}}}$"
    found: list[Any] = parse(marked, parsing_timeout=None) or parse(gold, parsing_timeout=None)
    return found


if __name__ == "__main__":
    main()
