"""File that grows by whole lines: a kill loses none that was stored, and a torn one is cut off."""

import fcntl
import os
from pathlib import Path

from evaluator.errors import Code, error
from evaluator.pipeline.disk import disk_errors


class LineFile:
    """File of lines at ``path``, open for appending. Close it.

    Raises ``disk_full``, ``host_resources`` and ``out_unwritable``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        with disk_errors(path):
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o644)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def lock(self) -> None:
        """Lock it until it is closed. Raises ``out_unwritable`` where another process has."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            detail = f"another run is writing to {self._path.parent}"
            raise error(Code.OUT_UNWRITABLE, detail) from None

    def mend(self) -> None:
        """Cut off a line that a full disk or a power cut has torn."""
        with disk_errors(self._path):
            self._size = self._path.read_bytes().rfind(b"\n") + 1
            os.ftruncate(self._file, self._size)

    def append(self, lines: bytes) -> None:
        """Store whole lines, or none of them. :meth:`sync` forces them to disk."""
        with disk_errors(self._path.parent):
            try:
                written = 0
                while written < len(lines):
                    written += os.write(self._file, lines[written:])
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        self._size += len(lines)

    def sync(self) -> None:
        """Force to disk what was stored."""
        with disk_errors(self._path.parent):
            os.fsync(self._file)

    def lines(self) -> list[bytes]:
        """Return all lines."""
        with disk_errors(self._path.parent):
            return self._path.read_bytes().split(b"\n")
