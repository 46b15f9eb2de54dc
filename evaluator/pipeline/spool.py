"""Reports on their way to the site: numbered, signed, written to disk, then published.

- ``Reporter`` numbers and signs the reports of one attempt; ``Heartbeat`` sends one at intervals.
- ``Spool`` writes each report to disk before anything is sent, so that a broker that dies loses
  nothing. A thread publishes the files in order and removes each once the broker has accepted it.
- ``ship`` reports the lines of the journal that may have been written and not reported, when a
  process died between the two.

A report may be published twice (killed between sending and removing); the site applies each once.
"""

import contextlib
import fcntl
import json
import logging
import os
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from msgspec import UNSET, UnsetType

from evaluator.contract import (
    ANSWERED,
    NO_RUN,
    Body,
    Closing,
    Exposure,
    LogLine,
    Progress,
    Report,
    Slot,
)
from evaluator.errors import EvaluatorError
from evaluator.pipeline.disk import disk_errors, try_lock, write_durably
from evaluator.pipeline.leases import Lease

_log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 2.0
"""Seconds between tries while the broker does not answer: well below a lease, since the site gives
an attempt no more than one after an outage."""
AT_A_TIME = 100
"""Lines of the journal in one report. A bitmap of a large set has tens of kilobytes."""

Seal = Callable[[Report], dict[str, Any]]
"""Signs a report and returns the envelope's JSON data."""


# --- reports of one attempt


class Reporter:
    """Sender of the reports of one attempt. Safe to be used from two threads.

    Sequence numbers count from 1. ``lease`` is notified of each report that the site answers.
    """

    def __init__(
        self,
        *,
        evaluator: str,
        run: str,
        token: int,
        worker: str,
        seal: Seal,
        put: Callable[[dict[str, Any]], None],
        slot: Slot | None = None,
    ) -> None:
        self.worker = worker
        self.lease: Lease | None = None
        self._evaluator, self._run, self._token, self._slot = evaluator, run, token, slot
        self._seal = seal
        self._put = put
        self._lock = threading.Lock()
        self._sequence = 0

    def send(self, body: Body) -> int:
        """Spool one report; it is on disk when this returns. Returns its sequence number.

        Raises ``disk_full`` or ``out_unwritable``.
        """
        with self._lock:
            self._put(self._next(body))
            return self._sequence

    def sealed(self, body: Body) -> dict[str, Any]:
        """Return the envelope of one report that does not go through the spool."""
        with self._lock:
            return self._next(body)

    def _next(self, body: Body) -> dict[str, Any]:
        self._sequence += 1
        if self.lease is not None and isinstance(body, ANSWERED):
            self.lease.sent(self._sequence)
        report = Report(
            evaluator=self._evaluator,
            run=self._run,
            token=self._token,
            worker=self.worker,
            sequence=self._sequence,
            slot=self._slot,
            body=body,
        )
        return self._seal(report)


class Heartbeat:
    """Thread that reports every ``seconds`` that the attempt is alive, also while a model loads."""

    def __init__(self, reporter: Reporter, *, seconds: float, total: int, done: int) -> None:
        self._reporter = reporter
        self._seconds = seconds
        self._is_waiting = False
        self._progress = Progress(phase="loading", done=done, total=total)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def asking(self, done: int, total: int, written: int | UnsetType = UNSET) -> None:
        """Report from now on that ``done`` of ``total`` items have an outcome.

        ``written`` is the number of a system's candidates so far.
        """
        phase: Literal["asking", "waiting"] = "waiting" if self._is_waiting else "asking"
        self._progress = Progress(phase=phase, done=done, total=total, written=written)

    def waiting(self, is_waiting: bool) -> None:
        """Report from now on that the endpoint is waited for, or no more.

        Before the first item is asked the phase stays ``loading``.
        """
        self._is_waiting = is_waiting
        if self._progress.phase != "loading":
            self.asking(self._progress.done, self._progress.total, self._progress.written)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._reporter.send(self._progress)
            except EvaluatorError as failure:
                _log.warning("heartbeat not spooled: %s", failure.code)
            if self._stop.wait(self._seconds):
                return


# --- lines of the journal


class Shipped:
    """File with the index of the last journal line known to be in the spool; -1 before the first.

    A line is in the journal before its items are decrypted, and in the spool before a prompt
    leaves. Between the two a process may die; the lines behind this index are reported when the
    next process starts. The index may lag: the site stores each line once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.last = -1
        with contextlib.suppress(OSError, ValueError):
            self.last = int(path.read_text(encoding="ascii"))

    def mark(self, index: int) -> None:
        """Note that line ``index`` and all before it are in the spool."""
        self.last = max(self.last, index)
        with disk_errors(self._path):
            self._path.write_text(str(self.last), encoding="ascii")


def ship(
    lines: Sequence[LogLine], shipped: Shipped, send: Callable[[str, int, Sequence[LogLine]], None]
) -> None:
    """Send the lines that are not known to be in the spool, by ``send(run, token, lines)``.

    ``run`` and ``token`` name the attempt that a line belongs to; a line of no attempt is sent as
    one of :data:`evaluator.contract.NO_RUN`.
    """
    unsent = [line for line in lines if line.index > shipped.last]
    for (run, token), group in groupby(unsent, key=_attempt):
        of_attempt = list(group)
        for start in range(0, len(of_attempt), AT_A_TIME):
            send(run, token, of_attempt[start : start + AT_A_TIME])
    if lines:
        shipped.mark(lines[-1].index)


def _attempt(line: LogLine) -> tuple[str, int]:
    if isinstance(line, Exposure | Closing):
        return line.run, line.token
    return NO_RUN, 1


# --- the spool


class Spool:
    """Folder of reports that the broker has not accepted yet. Safe to be used from several threads.

    Each report is one file, named by a number that only grows. Every process has a folder of its
    own below ``base``, which it holds by a lock; the next process that starts takes over the
    folders of dead ones. ``publish`` sends one report and raises where it could not; ``chance``
    returns a number in [0, 1).
    """

    def __init__(
        self,
        base: Path,
        publish: Callable[[dict[str, Any]], None],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        with disk_errors(base):
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _exclusive(base / "lock"):
                folders = [path for path in sorted(base.iterdir()) if path.is_dir()]
                orphans = [folder for folder in folders if _is_orphan(folder)]
                self._folder = Path(tempfile.mkdtemp(dir=base))
                self._held = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
                fcntl.flock(self._held, fcntl.LOCK_EX)
                self._last = sum(_take_over(orphan, self._folder) for orphan in orphans)
        self._publish = publish
        self._chance = chance
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._thread = threading.Thread(target=self._publish_all, name="spool", daemon=True)

    def start(self) -> None:
        """Begin to publish, with the reports that earlier processes left."""
        self._thread.start()

    def put(self, envelope: dict[str, Any]) -> None:
        """Write one report to disk; it is safe when this returns.

        Raises ``disk_full`` or ``out_unwritable``.
        """
        with self._lock:
            self._last += 1
            path = self._folder / f"{self._last:016d}.json"
            write_durably(path, json.dumps(envelope).encode())
        self._wake.set()

    def close(self, *, seconds: float) -> bool:
        """Give the thread ``seconds`` to empty the folder, then stop it. True when it is empty."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=seconds)
        self._abandon.set()
        is_empty = not _reports(self._folder)
        if is_empty and not list(self._folder.glob("*.bad")):
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._held)
        return is_empty

    def _publish_all(self) -> None:
        wait = FIRST_WAIT
        while not self._abandon.is_set():
            self._wake.clear()
            # Asked before the folder is read: reports that were put before close() are published.
            closing = self._stop.is_set()
            if not self._publish_waiting():
                # A spool that is being closed tries often: it has little time left.
                self._stop.wait(wait * (0.5 + self._chance() / 2))
                self._abandon.wait(FIRST_WAIT if closing else 0)
                wait = min(LONGEST_WAIT, wait * 2)
                continue
            wait = FIRST_WAIT
            if closing:
                return
            self._wake.wait()

    def _publish_waiting(self) -> bool:
        """Publish every report, in order.

        False when the broker refused one; it and the rest stay.
        """
        try:
            for path in _reports(self._folder):
                if self._abandon.is_set():
                    return False
                self._publish_file(path)
        except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
            _log.warning("broker does not take reports: %s", type(failure).__name__)
            return False
        return True

    def _publish_file(self, path: Path) -> None:
        try:
            envelope = json.loads(path.read_bytes())
        except ValueError:
            _log.error("unreadable report set aside: %s", path.name)
            path.rename(path.with_suffix(".bad"))
            return
        self._publish(envelope)
        path.unlink()


def _reports(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold ``path`` against processes that start at the same moment."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_orphan(folder: Path) -> bool:
    """Return True where no living process holds the folder."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def _take_over(orphan: Path, folder: Path) -> int:
    """Move an orphan's reports, in their order, behind those in ``folder``. Return their number."""
    before = len(_reports(folder))
    moved = _reports(orphan)
    for number, path in enumerate(moved, start=before + 1):
        path.rename(folder / f"{number:016d}.json")
    if not list(orphan.glob("*.bad")):
        shutil.rmtree(orphan)
    return len(moved)
