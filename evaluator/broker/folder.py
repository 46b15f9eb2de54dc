"""Folder as broker: kombu's filesystem transport, whose messages and tables are read whole.

kombu writes a message into the file that readers look for. A quick reader finds half of it and ends
its whole worker. Here a message is written to a hidden file and then renamed, and readers screen
it.
"""

import fcntl
import os
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps

from evaluator.broker.quarantine import MOST, Rejected, reject
from evaluator.broker.screening import MAX_MESSAGE_BYTES, Undecodable, screen

POLLING_SECONDS = 0.05
"""Seconds between polls: Celery's default of a second would delay each message by as much."""
_QUARANTINE = "quarantine"
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Channel of the filesystem transport with whole messages, whole tables and a quarantine."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        draft = Path(self.data_folder_out, f".{name}")
        draft.write_text(dumps(payload), encoding="utf-8")
        draft.rename(draft.with_name(name))

    def _get(self, queue: str) -> dict[str, Any]:
        """Return the oldest message of ``queue`` that can be decoded; quarantine the others."""
        folder = Path(self.data_folder_in)
        for name in sorted(path.name for path in folder.iterdir()):
            if name.startswith(".") or name.partition(".")[2] != f"{queue}.msg":
                continue
            taken = folder / f".{name}.taken"
            try:
                (folder / name).rename(taken)
            except OSError:
                continue  # another reader was quicker
            raw = _read(taken)
            with suppress(OSError):
                taken.unlink()
            if raw is None:
                self._set_aside(reject(b"", queue=queue, reason="unreadable"))
                continue
            try:
                return screen(raw)
            except Undecodable as problem:
                self._set_aside(reject(raw, queue=queue, reason=problem.reason))
        raise Empty

    def get_table(self, exchange: str) -> list[Any]:
        """Return the queues of an exchange.

        Its file is empty for a moment after it was made: then it is read again. One that stays
        unreadable goes into quarantine.
        """
        for _ in range(20):
            try:
                return list(super().get_table(exchange))
            except (ValueError, TypeError):
                time.sleep(POLLING_SECONDS)
        file = self._exchange_file(exchange)
        raw = _read(file) or b""
        rejected = reject(raw, queue=f"{exchange}.exchange", reason="json")
        self._set_aside(rejected)
        with suppress(OSError):
            file.unlink()
        return []

    def _queue_bind(
        self,
        exchange: str,
        routing_key: str,
        pattern: str,
        queue: str,
    ) -> None:
        """Bind a queue, to a table made anew where the one on disk cannot be read."""
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except (ValueError, TypeError):
            self.get_table(exchange)
            super()._queue_bind(exchange, routing_key, pattern, queue)

    def _set_aside(self, rejected: Rejected) -> None:
        """Store the beginning of a message, and count it. A full disk must not end the worker."""
        with suppress(OSError):
            folder = self._quarantine()
            folder.mkdir(mode=0o700, exist_ok=True)
            stored = sorted(folder.glob("*.bad"))
            too_many = max(0, len(stored) + 1 - MOST)
            for old in stored[:too_many]:
                old.unlink(missing_ok=True)
            path = folder / f"{time.time_ns()}.{rejected.digest[:16]}.{rejected.queue}.bad"
            path.write_bytes(rejected.head)
            _count_one(folder / f"{rejected.queue}.count")

    def _quarantine(self) -> Path:
        return Path(self.data_folder_in).parent / _QUARANTINE

    def quarantined(self) -> dict[str, int]:
        """Return the number of messages in quarantine, by queue."""
        counts = {}
        for path in self._quarantine().glob("*.count"):
            queue = path.name.removesuffix(".count")
            with suppress(OSError, ValueError):
                counts[queue] = int(path.read_text(encoding="ascii"))
        return counts


class Transport(filesystem.Transport):  # type: ignore[misc]
    """Transport through a folder."""

    Channel = Channel


def _read(path: Path) -> bytes | None:
    """Return the file's bytes, at most one more than a message may have.

    None where it is no plain file or cannot be opened.
    """
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_MESSAGE_BYTES + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _count_one(path: Path) -> None:
    descriptor = os.open(
        path,
        os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
        0o600,
    )
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        text = os.read(descriptor, 32)
        number = int(text) + 1 if text.isdigit() else 1
        count = str(number).encode("ascii")
        # Overwritten and then cut: a reader never finds the file empty in between.
        os.pwrite(descriptor, count, 0)
        os.truncate(descriptor, len(count))
    finally:
        os.close(descriptor)
