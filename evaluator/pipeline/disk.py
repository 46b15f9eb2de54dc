"""Durable files: written so that a crash does not lose them, locked, and with named errors."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluator.errors import host_error


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about ``path`` into errors of the engine.

    They are ``disk_full``, ``host_resources`` and ``out_unwritable``.
    """
    try:
        yield
    except OSError as failure:
        raise host_error(failure, str(path)) from None


def write_durably(path: Path, data: bytes) -> None:
    """Write a whole file, or nothing: to a neighbour first, forced to disk, then renamed.

    Raises ``disk_full`` or ``out_unwritable``; no part of the file stays behind then.
    """
    neighbour = path.with_suffix(".tmp")
    with disk_errors(path):
        try:
            with neighbour.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            neighbour.rename(path)
        except OSError:
            neighbour.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def check_writable(folder: Path, data: bytes) -> None:
    """Write ``data`` to a file in a folder that no other thread has and that is gone afterwards.

    Raises ``disk_full``, ``host_resources`` or ``out_unwritable``.
    """
    with disk_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk: without it a rename may be forgotten by a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock a file for as long as ``descriptor`` is open. Return False where a process holds it.

    A process that is merely stopped still holds its locks; one that is dead does not.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
