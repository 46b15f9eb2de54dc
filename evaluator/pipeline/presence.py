"""Presence of an evaluator: the sets it holds, the run it works on, and its announcements."""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from evaluator import __version__
from evaluator.contract import (
    JOB_VERSION,
    Announcement,
    EndpointPolicy,
    HeldSet,
    HostFacts,
    HostState,
    Name,
    OutOfService,
    RunId,
    fits,
)
from evaluator.errors import Code, EvaluatorError
from evaluator.items import load_items, set_digest
from evaluator.pipeline.disk import check_writable

_log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Seconds between two looks whether the worker begins to leave."""
PROBE = b"\0" * 65_536
"""Space for a report and for what a file system needs around it."""

Stamp = tuple[tuple[str, int, int | str], ...]
SealedDigest = Callable[[Path], str]
"""Returns the root of the sealed set in a folder. Raises EvaluatorError where it does not open."""


class Inventory:
    """Sets below a folder. Each is read again only when one of its files has changed.

    Files of a sealed set are compared by their bytes: a bit that flips on a disk changes no time
    and no size.
    """

    def __init__(
        self,
        sets: Path,
        sealed_digest: SealedDigest,
        *,
        manifest: str,
    ) -> None:
        self._sets = sets
        self._sealed_digest = sealed_digest
        self._manifest = manifest
        self._cache: dict[Path, tuple[Stamp, HeldSet | None]] = {}

    def held(self) -> tuple[HeldSet, ...]:
        """Return the sets that can be asked. One that cannot be read or opened is left out."""
        held = []
        try:
            entries = sorted(self._sets.iterdir())
            folders = [entry for entry in entries if entry.is_dir()]
            for folder in folders:
                if not fits(folder.name, Name):
                    continue
                stamp = _stamp(folder, whole=(folder / self._manifest).is_file())
                if folder not in self._cache or self._cache[folder][0] != stamp:
                    self._cache[folder] = (stamp, self._read_set(folder))
                _, held_set = self._cache[folder]
                if held_set is not None:
                    held.append(held_set)
        except OSError as failure:
            _log.warning("sets cannot be listed: %s", type(failure).__name__)
            return ()
        return tuple(held)

    def _read_set(self, folder: Path) -> HeldSet | None:
        try:
            if (folder / self._manifest).is_file():
                return HeldSet(
                    name=folder.name,
                    sealed=True,
                    digest=self._sealed_digest(folder),
                )
            digest = set_digest(load_items(folder / "items.jsonl"))
            return HeldSet(name=folder.name, sealed=False, digest=digest)
        except EvaluatorError as failure:
            _log.warning("set not held: %s code=%s", folder.name, failure.code)
            return None


def _stamp(folder: Path, *, whole: bool) -> Stamp:
    """Return name, time and size of each file; with ``whole`` its digest in place of its size."""
    stamp = []
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in sorted(files):
        facts = path.stat()
        content: int | str = facts.st_size
        if whole:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        stamp.append((path.name, facts.st_mtime_ns, content))
    return tuple(stamp)


class Presence:
    """State that an evaluator announces. Safe to be used from several threads.

    ``home`` is probed by a write, so that a full disk is found before a run is started.
    ``stopping`` returns True once the worker takes no more runs. ``endpoint_runs`` are carried
    apart from the one of weights.
    """

    def __init__(
        self,
        *,
        home: Path,
        pool: Name,
        inventory: Inventory,
        stopping: Callable[[], bool],
        host: HostFacts,
        state: Callable[[], HostState],
        endpoints: EndpointPolicy,
        endpoint_runs: int = 0,
    ) -> None:
        self._home = home
        self._pool = pool
        self._inventory = inventory
        self._stopping = stopping
        self._host = host
        self._state = state
        self._endpoints = endpoints
        self._endpoint_runs = endpoint_runs
        self._runs: list[RunId] = []

    @contextmanager
    def working_on(self, run: RunId) -> Iterator[None]:
        """Count ``run`` among those under way, until the block ends. The oldest is announced."""
        self._runs.append(run)
        try:
            yield
        finally:
            self._runs.remove(run)

    def is_leaving(self) -> bool:
        """Return True once the worker takes no more runs."""
        return self._stopping()

    def out_of_service(self) -> OutOfService | None:
        """Return the reason why no run can be started now; None where one can."""
        if self._stopping():
            return OutOfService.STOPPING
        try:
            check_writable(self._home, PROBE)
        except EvaluatorError as failure:
            if failure.code is Code.DISK_FULL:
                return OutOfService.DISK_FULL
            return OutOfService.OUT_UNWRITABLE
        return None

    def announcement(self, *, seconds: float) -> Announcement:
        """Return the announcement of the present state."""
        return Announcement(
            moment=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            seconds=seconds,
            pool=self._pool,
            sets=self._inventory.held(),
            reads=(JOB_VERSION,),
            software=__version__,
            out_of_service=self.out_of_service(),
            run=next(iter(self._runs), None),
            host=self._host,
            endpoints=self._endpoints,
            probes=True,
            state=self._state(),
            endpoint_runs=self._endpoint_runs,
        )


class Announcer:
    """Thread that publishes an announcement at start, every ``seconds`` and at the end.

    It announces within a second that the worker takes no more runs.

    Announcements bypass the spool: an old one is worth nothing, and a full disk is announced too.
    """

    def __init__(
        self,
        presence: Presence,
        publish: Callable[[Announcement], None],
        *,
        seconds: float,
    ) -> None:
        self._presence = presence
        self._publish = publish
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            name="announcer",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to announce."""
        self._thread.start()

    def close(self, *, seconds: float) -> None:
        """Announce the end, and wait up to ``seconds`` for that."""
        self._stop.set()
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while True:
            last = self._stop.is_set()
            begun = time.monotonic()
            leaving = self._presence.is_leaving()
            try:
                self._publish(self._presence.announcement(seconds=self._seconds))
            except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
                _log.warning("not announced: %s", type(failure).__name__)
            if last:
                return
            # Until the next announcement is due, or the worker begins to leave.
            due = begun + self._seconds
            while not self._stop.is_set() and self._presence.is_leaving() == leaving:
                left = due - time.monotonic()
                if left <= 0:
                    break
                self._stop.wait(min(LOOK_SECONDS, left))
