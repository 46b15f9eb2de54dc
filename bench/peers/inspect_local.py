"""Programs by Inspect's local sandbox, one after the other: a JSON list of them on standard input.

Prints the seconds of computing, its children's too, without those of starting. Run by
``bench.sandbox`` with the Python of Inspect's own environment.
"""

import asyncio
import json
import resource
import sys

from inspect_ai.util._sandbox.local import LocalSandboxEnvironment


def computing() -> float:
    """Return the seconds of this process and of all that it has waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


async def execute(programs: list[str]) -> None:
    """Execute each program in a process of its own, as Inspect does."""
    sandbox = LocalSandboxEnvironment()
    for source in programs:
        command = [sys.executable, "-I", "-S", "-c", source]
        await sandbox.exec(command, timeout=60)


if __name__ == "__main__":
    before = computing()
    asyncio.run(execute(json.load(sys.stdin)))
    print(computing() - before)
