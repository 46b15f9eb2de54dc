"""One attempt per run and token on this host: a message delivered twice is not worked on twice.

A claim is a file ``RUN.TOKEN`` that its process holds locked while the attempt lasts. The site decides which
token counts; this only keeps one host from doing the same work twice and from going back to an older
attempt, and tells an attempt that is under way from one that is over.

A claim below the highest of its run says nothing that this does not, and goes when the next is made. The highest goes
after ``RETENTION_DAYS``: longer than any message lives, and the site refuses an attempt that is over anyway.
"""

import fcntl
import os
import time
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from types import TracebackType

from evaluator.pipeline.disk import disk_errors, sync_folder

RETENTION_DAYS = 90
_DAY = 86_400.0


class Standing(Enum):
    """How an attempt stands on this host."""

    NEW = auto()
    HELD = auto()
    """A living process is at it."""
    OVER = auto()
    """It was claimed and has ended, well or not."""
    OLDER = auto()
    """A later attempt at the same run was claimed since."""


class Claim:
    """A claimed attempt, held until the block ends or the process dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


class Claims:
    """The folder of claims. ``run`` is a UUID in its usual form, ``token`` a positive number."""

    def __init__(self, folder: Path) -> None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._pruned = 0.0

    def standing(self, run: str, token: int) -> Standing:
        """How the attempt stands."""
        highest = max((int(path.suffix[1:]) for path in self._folder.glob(f"{run}.*")), default=0)
        if highest < token:
            return Standing.NEW
        if highest > token:
            return Standing.OLDER
        descriptor = os.open(self._folder / f"{run}.{token}", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Standing.HELD
        finally:
            os.close(descriptor)
        return Standing.OVER

    def claim(self, run: str, token: int) -> Claim | None:
        """Claim an attempt, on disk. None when another process did in the meantime."""
        path = self._folder / f"{run}.{token}"
        with disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if not _lock_new(descriptor):
                os.close(descriptor)
                return None
            sync_folder(self._folder)
        self._prune(run, token)
        return Claim(descriptor)

    def _prune(self, run: str, token: int) -> None:
        """Delete the claims of earlier attempts at a run, and once a day those that are old."""
        with suppress(OSError):
            for path in self._folder.glob(f"{run}.*"):
                if int(path.suffix[1:]) < token:
                    path.unlink(missing_ok=True)
            now = time.time()
            if now - self._pruned < _DAY:
                return
            self._pruned = now
            for path in self._folder.iterdir():
                if path.stat().st_mtime < now - RETENTION_DAYS * _DAY:
                    path.unlink(missing_ok=True)


def _lock_new(descriptor: int) -> bool:
    """Hold a claim that nobody has held before. Its one byte says that somebody has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if os.fstat(descriptor).st_size:
        return False
    os.write(descriptor, b"\n")
    os.fsync(descriptor)
    return True
