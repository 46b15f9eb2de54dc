"""Reports rest on disk until the broker has them, so that a broker that dies loses nothing.

Each report is one file, written and forced to disk before anything is sent, named by a number that only
grows. A thread publishes the files in that order and removes each once the broker has taken it; what an
earlier process left behind goes out first. A report may go out twice (killed between sending and
removing); the site applies each once.
"""

import json
import logging
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evaluator.pipeline.disk import disk_errors, write_durably

_log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 10.0
"""Seconds between tries while the broker does not answer."""


class Spool:
    """A folder of reports on their way out. Safe to be used from several threads of one process.

    ``publish`` sends one report and raises where it could not; ``chance`` returns a number in [0, 1).
    """

    def __init__(
        self, folder: Path, publish: Callable[[dict[str, Any]], None], *, chance: Callable[[], float] = random.random
    ) -> None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for torn in folder.glob("*.tmp"):
                torn.unlink()
        self._folder = folder
        self._publish = publish
        self._chance = chance
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._last = max((int(path.stem) for path in self._waiting()), default=0)
        self._thread = threading.Thread(target=self._publish_all, name="spool", daemon=True)

    def start(self) -> None:
        """Begin to publish, with what an earlier process left."""
        self._thread.start()

    def put(self, envelope: dict[str, Any]) -> None:
        """Write one report to disk; it is safe when this returns. Raises ``disk_full`` or ``out_unwritable``."""
        with self._lock:
            self._last += 1
            path = self._folder / f"{self._last:016d}.json"
            write_durably(path, json.dumps(envelope).encode())
        self._wake.set()

    def close(self, *, seconds: float) -> bool:
        """Stop the thread, after it has had ``seconds`` to empty the folder. True when nothing is left."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=seconds)
        self._abandon.set()
        return not self._waiting()

    def _waiting(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*.json") if path.stem.isdigit())

    def _publish_all(self) -> None:
        wait = FIRST_WAIT
        while not self._abandon.is_set():
            self._wake.clear()
            if not self._publish_waiting():
                # A spool that is being closed tries often: it has little time left.
                closing = self._stop.wait(wait * (0.5 + self._chance() / 2))
                self._abandon.wait(FIRST_WAIT if closing else 0)
                wait = min(LONGEST_WAIT, wait * 2)
                continue
            wait = FIRST_WAIT
            if self._stop.is_set():
                return
            self._wake.wait()

    def _publish_waiting(self) -> bool:
        """Publish all that waits, in order. False when the broker refused one; it and the rest stay."""
        try:
            for path in self._waiting():
                if self._abandon.is_set():
                    return False
                self._publish_one(path)
        except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises, the report stays
            _log.warning("broker does not take reports: %s", type(failure).__name__)
            return False
        return True

    def _publish_one(self, path: Path) -> None:
        try:
            envelope = json.loads(path.read_bytes())
        except ValueError:
            _log.error("unreadable report set aside: %s", path.name)
            path.rename(path.with_suffix(".bad"))
            return
        self._publish(envelope)
        path.unlink()
