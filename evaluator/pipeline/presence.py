"""Presence of an evaluator: what it holds, what it works on, and the announcements that say so."""

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
    HeldSet,
    Name,
    OutOfService,
    RunId,
    fits,
)
from evaluator.errors import Code, EvaluatorError
from evaluator.items import load_items, set_digest
from evaluator.pipeline.disk import write_durably

_log = logging.getLogger(__name__)

PROBE = b"\0" * 65_536
"""A report, and what a file system needs around it, fit into as much."""

Stamp = tuple[tuple[str, int, int | str], ...]
SealedDigest = Callable[[Path], str]
"""Gives the root of the sealed set in a folder. Raises EvaluatorError where it cannot be opened."""


class Inventory:
    """The sets below a folder. Each is read again only when one of its files has changed.

    Of a sealed set the files themselves are compared, since a bit that flips on a disk changes no time and no size.
    """

    def __init__(self, sets: Path, sealed_digest: SealedDigest, *, manifest: str) -> None:
        self._sets, self._sealed_digest, self._manifest = sets, sealed_digest, manifest
        self._read: dict[Path, tuple[Stamp, HeldSet | None]] = {}

    def held(self) -> tuple[HeldSet, ...]:
        """The sets that can be asked. One that cannot be read or opened is left out."""
        try:
            folders = [folder for folder in sorted(self._sets.iterdir()) if folder.is_dir()]
            found = [self._look(folder) for folder in folders if fits(folder.name, Name)]
        except OSError as failure:
            _log.warning("sets cannot be listed: %s", type(failure).__name__)
            return ()
        return tuple(one for one in found if one is not None)

    def _look(self, folder: Path) -> HeldSet | None:
        stamp = _stamp(folder, whole=(folder / self._manifest).is_file())
        known = self._read.get(folder)
        if known is None or known[0] != stamp:
            known = self._read[folder] = (stamp, self._read_set(folder))
        return known[1]

    def _read_set(self, folder: Path) -> HeldSet | None:
        try:
            if (folder / self._manifest).is_file():
                return HeldSet(name=folder.name, sealed=True, digest=self._sealed_digest(folder))
            digest = set_digest(load_items(folder / "items.jsonl"))
            return HeldSet(name=folder.name, sealed=False, digest=digest)
        except EvaluatorError as failure:
            _log.warning("set not held: %s code=%s", folder.name, failure.code)
            return None


def _stamp(folder: Path, *, whole: bool) -> Stamp:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        (path.name, path.stat().st_mtime_ns, _digest(path) if whole else path.stat().st_size)
        for path in files
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Presence:
    """The state that an evaluator announces. Safe to be used from two threads.

    ``home`` is probed by a write, so that a full disk is found before a run is taken.
    """

    def __init__(
        self, *, home: Path, pool: Name, inventory: Inventory, stopping: Callable[[], bool]
    ) -> None:
        self._home, self._pool, self._inventory, self._stopping = home, pool, inventory, stopping
        self._run: RunId | None = None

    @contextmanager
    def working_on(self, run: RunId) -> Iterator[None]:
        """Announce ``run`` as the one under way, until the block ends."""
        self._run = run
        try:
            yield
        finally:
            self._run = None

    def out_of_service(self) -> OutOfService | None:
        """Return the reason why no run can be taken now; None where one can be."""
        if self._stopping():
            return OutOfService.STOPPING
        probe = self._home / "probe"
        try:
            write_durably(probe, PROBE)
            probe.unlink(missing_ok=True)
        except EvaluatorError as failure:
            full = failure.code is Code.DISK_FULL
            return OutOfService.DISK_FULL if full else OutOfService.OUT_UNWRITABLE
        except OSError:
            return OutOfService.OUT_UNWRITABLE
        return None

    def announcement(self, *, seconds: float) -> Announcement:
        """Return what is to be published now."""
        return Announcement(
            moment=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            seconds=seconds,
            pool=self._pool,
            sets=self._inventory.held(),
            reads=(JOB_VERSION,),
            software=__version__,
            out_of_service=self.out_of_service(),
            run=self._run,
        )


class Announcer:
    """Publishes an announcement at start, every ``seconds`` and at the end, from a thread of its own.

    Announcements bypass the spool: an old one is worth nothing, and a full disk is to be announced too.
    """

    def __init__(
        self, presence: Presence, publish: Callable[[Announcement], None], *, seconds: float
    ) -> None:
        self._presence, self._publish, self._seconds = presence, publish, seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="announcer", daemon=True)

    def start(self) -> None:
        """Begin to announce."""
        self._thread.start()

    def close(self, *, seconds: float) -> None:
        """Announce the end, and wait up to ``seconds`` for that."""
        self._stop.set()
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stop.is_set()
            begun = time.monotonic()
            try:
                self._publish(self._presence.announcement(seconds=self._seconds))
            except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
                _log.warning("not announced: %s", type(failure).__name__)
            if not last:
                self._stop.wait(max(0.0, self._seconds - (time.monotonic() - begun)))
