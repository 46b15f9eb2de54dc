"""Reports on their way to the site: numbered, signed, written to disk, then published.

- ``Reporter`` numbers and signs the reports of one attempt; ``Heartbeat`` sends one at intervals.
- ``Spool`` writes each report to disk before anything is sent, so that a broker that dies loses
  nothing. A thread publishes the files in order, several of one attempt in one message, and removes
  each once the broker has accepted it.
- ``ship`` reports the lines of the journal that may have been written and not reported, when a
  process died between the two.

A report may be published twice (killed between sending and removing); the site applies each once.
"""

import contextlib
import fcntl
import json
import logging
import math
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from msgspec import UNSET, UnsetType

from evaluator.contract import (
    ANSWERED,
    NO_RUN,
    Body,
    Closing,
    Exposed,
    Exposure,
    Graded,
    LogLine,
    Progress,
    Report,
    Slot,
    Transcripts,
)
from evaluator.errors import EvaluatorError
from evaluator.ledger.envelopes import MOST_REPORTS
from evaluator.pipeline.disk import disk_errors, try_lock, write_durably
from evaluator.pipeline.leases import Lease

_log = logging.getLogger(__name__)

FIRST_WAIT = 0.2
LONGEST_WAIT = 2.0
"""Seconds between tries while the broker does not answer: well below a lease, since the site gives
an attempt no more than one after an outage."""
PATIENCE_SHARE = 1 / 30
"""Share of a lease that a report waits for others at most, where nobody waits for it."""
LONGEST_PATIENCE = 2.0
"""Seconds that it waits at most."""
MOST_BYTES = 512 * 1024
"""Size of a message of several reports, at most."""
AT_A_TIME = 100
"""Lines of the journal in one report. A bitmap of a large set has tens of kilobytes."""
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC

Seal = Callable[[Report], dict[str, Any]]
"""Signs a report and returns the envelope's JSON data."""


class Put(Protocol):
    """Writes an envelope to the spool, which sends it within ``patience`` seconds."""

    def __call__(self, envelope: dict[str, Any], patience: float = 0.0, /) -> None:
        """Raise ``disk_full`` or ``out_unwritable`` where the envelope is not on disk."""


def patience(body: Body, lease_seconds: float) -> float:
    """Return the seconds that a report may wait for others, to share their message.

    The site's answer to some reports is waited for, and others end an attempt: they are sent at
    once, and take those along that wait.
    """
    if not isinstance(body, Progress | Exposed | Graded | Transcripts):
        return 0.0
    return min(LONGEST_PATIENCE, lease_seconds * PATIENCE_SHARE)


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
        put: Put,
        slot: Slot | None = None,
    ) -> None:
        self.worker = worker
        self.lease: Lease | None = None
        self._evaluator = evaluator
        self._run = run
        self._token = token
        self._slot = slot
        self._seal = seal
        self._put = put
        self._lock = threading.Lock()
        self._sequence = 0

    def send(self, body: Body) -> int:
        """Spool one report; it is on disk when this returns. Returns its sequence number.

        Raises ``disk_full`` or ``out_unwritable``.
        """
        with self._lock:
            seconds = self.lease.seconds if self.lease is not None else 0.0
            self._put(self._next(body), patience(body, seconds))
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
    """Thread that reports every ``seconds`` that the attempt is alive, also while a model loads.

    The first of its reports comes ``seconds`` after its start, since ``Started`` has just renewed
    the lease.
    """

    def __init__(
        self,
        reporter: Reporter,
        *,
        seconds: float,
        total: int,
        done: int,
    ) -> None:
        self._reporter = reporter
        self._seconds = seconds
        self._is_waiting = False
        self._progress = Progress(phase="loading", done=done, total=total)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            name="heartbeat",
            daemon=True,
        )

    def asking(
        self,
        done: int,
        total: int,
        written: int | UnsetType = UNSET,
    ) -> None:
        """Report from now on that ``done`` of ``total`` items have an outcome.

        ``written`` is the number of a system's candidates so far.
        """
        phase: Literal["asking", "waiting"] = "waiting" if self._is_waiting else "asking"
        self._progress = Progress(
            phase=phase,
            done=done,
            total=total,
            written=written,
        )

    def waiting(self, is_waiting: bool) -> None:
        """Report from now on that the endpoint is waited for, or no more.

        Before the first item is asked the phase stays ``loading``.
        """
        self._is_waiting = is_waiting
        if self._progress.phase != "loading":
            self.asking(
                self._progress.done,
                self._progress.total,
                self._progress.written,
            )

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._reporter.send(self._progress)
            except EvaluatorError as failure:
                _log.warning("heartbeat not spooled: %s", failure.code)


# --- lines of the journal


class Shipped:
    """File with the index of the last journal line known to be in the spool; -1 before the first.

    A line is in the journal before its items are decrypted, and in the spool before a prompt
    leaves. Between the two a process may die; the lines behind this index are reported when the
    next process starts. The index may lag: the site stores each line once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.last = -1
        with contextlib.suppress(OSError, ValueError):
            self.last = int(path.read_text(encoding="ascii"))

    def mark(self, index: int) -> None:
        """Note that line ``index`` and all before it are in the spool."""
        with self._lock, disk_errors(self._path):
            self.last = max(self.last, index)
            self._path.write_text(str(self.last), encoding="ascii")


def ship(
    lines: Sequence[LogLine],
    shipped: Shipped,
    send: Callable[[str, int, Sequence[LogLine]], None],
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
    own below ``base``, which it holds by a lock. The folders of dead processes are taken over by
    the next one that starts, or by one that runs, with ``take_over``. ``publish`` sends the reports
    of one message and raises where it could not; ``accepted`` is then called with each of them;
    ``chance`` returns a number in [0, 1).
    """

    def __init__(
        self,
        base: Path,
        publish: Callable[[Sequence[dict[str, Any]]], None],
        *,
        accepted: Callable[[dict[str, Any]], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        with disk_errors(base):
            base.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _exclusive(base / "lock"):
                entries = sorted(base.iterdir())
                folders = [entry for entry in entries if entry.is_dir()]
                orphans = [folder for folder in folders if _is_orphan(folder)]
                self._folder = Path(tempfile.mkdtemp(dir=base))
                self._held = os.open(self._folder / "lock", _LOCK_FLAGS)
                fcntl.flock(self._held, fcntl.LOCK_EX)
                self._last = 0
                for orphan in orphans:
                    self._last = _take_over(orphan, self._folder, after=self._last)
        self._base = base
        self._publish = publish
        self._accepted = accepted
        self._chance = chance
        self._due = 0.0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._thread = threading.Thread(
            target=self._publish_all,
            name="spool",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to publish, with the reports that earlier processes left."""
        self._thread.start()

    def put(self, envelope: dict[str, Any], patience: float = 0.0, /) -> None:
        """Write one report to disk; it is safe when this returns.

        It is sent within ``patience`` seconds, with those that wait then. Raises ``disk_full`` or
        ``out_unwritable``.
        """
        with self._lock:
            self._last += 1
            path = self._folder / f"{self._last:016d}.json"
            write_durably(path, json.dumps(envelope).encode())
            self._due = min(self._due, time.monotonic() + patience)
        self._wake.set()

    def take_over(self) -> int:
        """Take over the folders of processes that have died since. Returns how many there were.

        Raises ``disk_full`` or ``out_unwritable``.
        """
        with disk_errors(self._base), _exclusive(self._base / "lock"):
            entries = sorted(self._base.iterdir())
            folders = [entry for entry in entries if entry.is_dir()]
            others = [folder for folder in folders if folder != self._folder]
            orphans = [folder for folder in others if _is_orphan(folder)]
            with self._lock:
                for orphan in orphans:
                    self._last = _take_over(orphan, self._folder, after=self._last)
                    self._due = 0.0
        if orphans:
            self._wake.set()
        return len(orphans)

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
            # Both before the folder is read: reports that were put before close() are published,
            # and those that are put from now on wake this thread.
            closing = self._stop.is_set()
            with self._lock:
                self._due = math.inf
            if not self._publish_waiting():
                # A spool that is being closed tries often: it has little time left.
                self._stop.wait(wait * (0.5 + self._chance() / 2))
                self._abandon.wait(FIRST_WAIT if closing else 0)
                wait = min(LONGEST_WAIT, wait * 2)
                continue
            wait = FIRST_WAIT
            if closing:
                return
            self._wait_until_due()

    def _wait_until_due(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            with self._lock:
                left = self._due - time.monotonic()
            if left <= 0 or self._stop.is_set():
                return
            self._wake.wait(None if left == math.inf else left)

    def _publish_waiting(self) -> bool:
        """Publish every report, in order.

        False when the broker refused one; it and the rest stay.
        """
        try:
            for message in messages(self._waiting()):
                if self._abandon.is_set():
                    return False
                self._publish([report.envelope for report in message])
                for report in message:
                    self._accepted(report.envelope)
                for report in message:
                    report.path.unlink()
        except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
            _log.warning("broker does not take reports: %s", type(failure).__name__)
            return False
        return True

    def _waiting(self) -> Iterator["Spooled"]:
        """Yield the reports in their order. One that cannot be read is set aside."""
        for path in _reports(self._folder):
            data = path.read_bytes()
            try:
                envelope = json.loads(data)
            except ValueError:
                _log.error("unreadable report set aside: %s", path.name)
                path.rename(path.with_suffix(".bad"))
            else:
                yield Spooled(path, envelope, len(data))


class Spooled(NamedTuple):
    """A report in the spool: its file, the envelope in it, and its size in bytes."""

    path: Path
    envelope: dict[str, Any]
    size: int


def messages(waiting: Iterable[Spooled]) -> Iterator[list[Spooled]]:
    """Group reports into messages, in their order: those of one attempt that follow each other."""
    message: list[Spooled] = []
    current: tuple[Any, ...] | None = None
    for report in waiting:
        size = sum(other.size for other in message) + report.size
        is_full = len(message) >= MOST_REPORTS or size > MOST_BYTES
        attempt: tuple[Any, ...] | None = None
        match report.envelope:
            case {"report": {"run": run, "token": token, "worker": worker}}:
                attempt = (run, token, worker)
        if message and (is_full or attempt is None or attempt != current):
            yield message
            message = []
        message.append(report)
        current = attempt
    if message:
        yield message


def _reports(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold ``path`` against processes that start at the same moment."""
    descriptor = os.open(path, _LOCK_FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_orphan(folder: Path) -> bool:
    """Return True where no living process holds the folder, and none has just removed it."""
    try:
        descriptor = os.open(folder / "lock", _LOCK_FLAGS)
    except FileNotFoundError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)


def _take_over(orphan: Path, folder: Path, *, after: int) -> int:
    """Move an orphan's reports, in their order, behind ``after``. Return the last number."""
    moved = _reports(orphan)
    for number, path in enumerate(moved, start=after + 1):
        path.rename(folder / f"{number:016d}.json")
    if not list(orphan.glob("*.bad")):
        shutil.rmtree(orphan)
    return after + len(moved)
