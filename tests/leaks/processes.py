"""Processes as leak surfaces: whole families, their environment, and what they leave when they are aborted."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from demo.programs import Process

HOLDER = "import sys, time; held = sys.stdin.read(); print(flush=True); time.sleep(600)"
"""A program that keeps what it was told in its memory."""


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def outside(pids: Sequence[int]) -> dict[str, bytes]:
    """What anybody on the machine sees of processes: environment, command line and open files, by process."""
    seen = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            parts = [
                Path(f"/proc/{pid}/{name}").read_bytes() for name in ("environ", "cmdline", "comm")
            ]
            parts += [os.fsencode(link) for link in _links(pid)]
            seen[f"process {pid} {parts[1][:120].decode(errors='replace')}"] = b"\n".join(parts)
    return seen


def _links(pid: int) -> Iterator[str]:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            yield str(link.readlink())


@contextlib.contextmanager
def holder(text: str, *, folder: Path) -> Iterator[Process]:
    """A process with a text in its memory, and in its environment too."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
        env={"HELD": text},
    )
    assert process.stdin and process.stdout
    try:
        process.stdin.write(text.encode())
        process.stdin.close()
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def cores_allowed() -> Iterator[bool]:
    """Let children leave core files of any size; False where the machine's own limit forbids it."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    allowed = before[1] == resource.RLIM_INFINITY
    if allowed:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, before[1]))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def leaves_core_files() -> bool:
    """Whether this kernel writes core files into the working folder, where a test can look for them."""
    return (
        "/" not in (pattern := Path("/proc/sys/kernel/core_pattern").read_text().strip())
        and pattern[:1] != "|"
    )


def abort(process: Process) -> None:
    """SIGABRT to a program and to all that descend from it, as a crash would end each."""
    pids = family(process.pid)
    for pid in reversed(pids):  # children first: their parents would tidy up
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGABRT)
    process.wait(30)
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids[1:]) and time.monotonic() < until:
        time.sleep(0.05)


def cores(folder: Path) -> list[Path]:
    """Core files in a folder."""
    return [path for path in folder.iterdir() if path.name.startswith("core") and path.is_file()]
