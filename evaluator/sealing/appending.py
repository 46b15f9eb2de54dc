"""Appending whole lines to a file, safe against power loss, full disks and other processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from evaluator.errors import Code, EvaluatorError, error, host_error, is_host_error


def failure(problem: OSError, otherwise: Code, detail: str) -> EvaluatorError:
    """Return ``disk_full`` or ``host_resources`` if the system reports it, else ``otherwise``."""
    if is_host_error(problem):
        return host_error(problem, detail)
    return error(otherwise, detail)


def open_for_appending(path: Path) -> int:
    """Return a descriptor for reading and appending. Raises OSError.

    A new file is private to its owner, and durable in its folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    if os.fstat(descriptor).st_size == 0:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return descriptor


@contextmanager
def locked(descriptor: int) -> Iterator[None]:
    """Hold a lock against other processes; the system releases it if the holder dies."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def read_from(descriptor: int, start: int) -> bytes:
    """Return all bytes from ``start`` to the end. Raises OSError."""
    chunks = []
    while chunk := os.pread(descriptor, 1 << 20, start):
        chunks.append(chunk)
        start += len(chunk)
    return b"".join(chunks)


def append(descriptor: int, line: bytes, *, durable: bool) -> None:
    """Append a whole line; ``durable`` waits for the disk.

    Raises OSError, and then leaves the file as it was.
    """
    end = os.fstat(descriptor).st_size
    try:
        rest = memoryview(line)
        while rest:
            written = os.write(descriptor, rest)
            rest = rest[written:]
        if durable:
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise
