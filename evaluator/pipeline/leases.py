"""Leases and claims: the right of one process to work on an attempt.

An attempt reveals nothing, asks nothing and starts no model before it has both:

- its claim on this host, a locked file: a message that is delivered twice is worked on once;
- its lease of the site: two evaluators that hold the same message do not both work on it.

From the grant on the order is:

- each Started and Progress report is answered by the site, on a queue of this process
  (``MessageQueue``);
- the first grant begins the lease; it ends ``seconds`` after the *sending* of the newest report
  that was granted, or that the broker has accepted since. The site ends no lease before it has
  recorded what the broker had accepted, so this one never outlasts the site's own record of it, and
  a recorder that lags costs no attempt;
- the vault asks for the lease before each reveal, the pipeline before each question, and a
  background task ends the attempt once the lease has lapsed or the site has refused it.

A lease that has once lapsed is never valid again. The site decides which token counts; a claim only
stops one host from doing the same work twice and from going back to an older attempt, and tells an
attempt that is under way from one that is over.
"""

import asyncio
import logging
import os
import threading
import time
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import Enum, auto
from pathlib import Path
from types import TracebackType
from typing import Any

from kombu import Connection, Queue

from evaluator.contract import LeaseAnswer, LeaseRefusal, RunId, Slot, Token
from evaluator.errors import Code, EvaluatorError, error
from evaluator.pipeline.disk import disk_errors, sync_folder, try_lock, write_durably

_log = logging.getLogger(__name__)

WATCH_SECONDS = 0.1
LONGEST_BEGIN = 60.0
"""Seconds that an attempt waits for an answer, at most, while the broker does not take its reports;
with a short lease it waits less."""
ANSWER_TRIES = 3
"""Times that a report is sent within that time."""

RETENTION_DAYS = 90
PLAN = "plan-"
"""Beginning of the names of files that hold the digest of a run's plan."""
WEIGHTS = "weights-"
"""Beginning of the names of files that name the weights of a run's newest attempt."""
_DAY = 86_400.0

SLOTS = 1000
PAUSE_SECONDS = 0.5
"""Pause between tries while the broker does not answer."""


# --- leases of the site


def boot_time() -> float:
    """Return the seconds of a clock that also counts while the machine is asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Lease of one attempt. Safe to be used from several threads."""

    def __init__(
        self,
        *,
        run: RunId,
        token: Token,
        worker: str,
        seconds: float,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self.run = run
        self.token = token
        self.worker = worker
        self.seconds = seconds
        self.refusal: LeaseRefusal | None = None
        self._now = now
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._granted: set[int] = set()
        self._sent: dict[int, float] = {}
        self._accepted = 0
        self._renewed: float | None = None
        self._lost = False

    def sent(self, sequence: int) -> None:
        """Note that the report ``sequence`` is about to be sent: its grant counts from now."""
        with self._lock:
            self._sent[sequence] = self._now()

    def accepted(self, sequence: int) -> None:
        """Note that the broker has taken the report ``sequence``, and with it all before it."""
        with self._lock:
            self._accepted = max(self._accepted, sequence)
            if self._granted:
                self._renew(self._accepted)

    def has_accepted(self, sequence: int) -> bool:
        """Return True once the broker has taken the report ``sequence``."""
        with self._lock:
            return sequence <= self._accepted

    def take(self, answer: LeaseAnswer) -> None:
        """Apply an answer of the site.

        An answer to another attempt, or to a report that was not sent, changes nothing.
        """
        answered = (answer.run, answer.token, answer.worker)
        if answered != (self.run, self.token, self.worker):
            return
        with self._lock:
            if answer.refusal is not None:
                self.refusal = self.refusal or answer.refusal
            elif answer.sequence in self._sent:
                self._granted.add(answer.sequence)
                self._renew(max(answer.sequence, self._accepted))
            elif self._granted:  # of a report that has renewed the lease already
                self._granted.add(answer.sequence)
            self._changed.notify_all()

    def _renew(self, newest: int) -> None:
        """Let the lease count from the sending of the newest report up to the number ``newest``."""
        passed = [number for number in self._sent if number <= newest]
        for number in passed:
            self._renewed = max(self._renewed or 0.0, self._sent.pop(number))

    def is_valid(self) -> bool:
        """Return True while something may be revealed and asked."""
        with self._lock:
            if self._renewed is None:
                return False
            is_over = self._now() >= self._renewed + self.seconds
            self._lost = self._lost or self.refusal is not None or is_over
            return not self._lost

    def check(self) -> None:
        """Raise ``lease_lost`` unless the lease is valid."""
        if not self.is_valid():
            raise error(Code.LEASE_LOST)

    def wait_for(self, sequences: Collection[int], seconds: float) -> bool:
        """Wait for the answer to one of these reports, or for a refusal.

        Return False where neither came within ``seconds``.
        """

        def is_answered() -> bool:
            return self.refusal is not None or not self._granted.isdisjoint(sequences)

        with self._changed:
            return self._changed.wait_for(is_answered, seconds)

    async def watch(self) -> None:
        """Raise ``lease_lost`` as soon as the lease is not valid."""
        while True:
            self.check()
            await asyncio.sleep(WATCH_SECONDS)


def send_until_answered(
    lease: Lease,
    send: Callable[[], int],
    *,
    stopping: Callable[[], bool],
    longest: float,
) -> None:
    """Send a report until the site answers it; ``send`` returns its number.

    While the broker takes the reports the answer may be late, by up to ``longest`` seconds: their
    recorder lags. Raises ``lease_lost`` unless the site grants the lease, and ``handed_back`` where
    the worker is to stop before the site has answered.
    """
    patience = min(LONGEST_BEGIN, lease.seconds) / ANSWER_TRIES
    end = time.monotonic() + longest
    sent: list[int] = []
    lost = 0
    while lost < ANSWER_TRIES and time.monotonic() < end:
        sent.append(send())
        if lease.wait_for(sent, patience):
            return lease.check()
        if stopping():
            raise error(Code.HANDED_BACK)
        lost += 1
        if lease.has_accepted(sent[-1]):
            lost = 0
    raise error(Code.LEASE_LOST)


class Leases(typing.Protocol):
    """Leases of one process of an evaluator. The vault asks them before each reveal."""

    @property
    def slot(self) -> Slot | None:
        """Number that reports carry so that the site can answer; None where no answer comes."""

    def hold(
        self,
        *,
        run: RunId,
        token: Token,
        worker: str,
        seconds: float,
    ) -> AbstractContextManager[Lease]:
        """Hold the lease of an attempt while the block runs."""

    def permit(self, *, run: RunId, token: Token) -> AbstractContextManager[None]:
        """Permit reveals to our own jail while the block runs, for a rescoring."""

    def check(self, *, run: RunId, token: Token) -> None:
        """Raise ``lease_lost`` unless this process holds a valid lease or a permit."""

    def accepted(self, envelope: Mapping[str, Any]) -> None:
        """Note that the broker has taken a report, given as its envelope's JSON data."""


class AnsweredLeases:
    """Leases that the site grants by answers on this process's queue.

    Safe to be used from several threads, one for each attempt.
    """

    def __init__(self, slot: Slot, *, now: Callable[[], float] = boot_time) -> None:
        self._slot = slot
        self._now = now
        self._held: dict[tuple[RunId, Token], Lease] = {}
        self._permit: tuple[RunId, Token] | None = None

    @property
    def slot(self) -> Slot:
        """See :class:`Leases`."""
        return self._slot

    @contextmanager
    def hold(
        self,
        *,
        run: RunId,
        token: Token,
        worker: str,
        seconds: float,
    ) -> Iterator[Lease]:
        """See :class:`Leases`."""
        lease = Lease(
            run=run,
            token=token,
            worker=worker,
            seconds=seconds,
            now=self._now,
        )
        self._held[run, token] = lease
        try:
            yield lease
        finally:
            del self._held[run, token]

    @contextmanager
    def permit(self, *, run: RunId, token: Token) -> Iterator[None]:
        """See :class:`Leases`."""
        self._permit = (run, token)
        try:
            yield
        finally:
            self._permit = None

    def check(self, *, run: RunId, token: Token) -> None:
        """See :class:`Leases`."""
        if self._permit == (run, token):
            return
        held = self._held.get((run, token))
        if held is None:
            raise error(Code.LEASE_LOST)
        held.check()

    def accepted(self, envelope: Mapping[str, Any]) -> None:
        """See :class:`Leases`."""
        match envelope:
            case {"report": {"run": run, "token": token, "worker": worker, "sequence": sequence}}:
                held = self._held.get((run, token))
                if held is not None and held.worker == worker:
                    held.accepted(sequence)

    def deliver(self, data: object) -> None:
        """Give an answer to the lease that is held. Anything else is dropped."""
        try:
            answer = LeaseAnswer.from_dict(data)
        except EvaluatorError as refused:
            _log.warning("answer refused: code=%s", refused.code)
            return
        if held := self._held.get((answer.run, answer.token)):
            held.take(answer)


class _Granted(Lease):
    def is_valid(self) -> bool:
        return True

    def wait_for(self, sequences: Collection[int], seconds: float) -> bool:
        return True


class GrantedLeases:
    """Leases for use without a site: each is valid from the start."""

    slot: Slot | None = None

    @contextmanager
    def hold(
        self,
        *,
        run: RunId,
        token: Token,
        worker: str,
        seconds: float,
    ) -> Iterator[Lease]:
        """See :class:`Leases`."""
        yield _Granted(run=run, token=token, worker=worker, seconds=seconds)

    @contextmanager
    def permit(self, *, run: RunId, token: Token) -> Iterator[None]:
        """See :class:`Leases`."""
        yield

    def check(self, *, run: RunId, token: Token) -> None:
        """See :class:`Leases`."""

    def accepted(self, envelope: Mapping[str, Any]) -> None:
        """See :class:`Leases`."""


# --- claims on this host


class Standing(Enum):
    """State of an attempt on this host."""

    NEW = auto()
    HELD = auto()
    """A living process works on it."""
    OVER = auto()
    """It was claimed and has ended, successfully or not."""
    OLDER = auto()
    """A later attempt at the same run was claimed since."""


class Claim:
    """Claimed attempt, held until the block ends or the process dies."""

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
    """Claims of this host: a folder with a file ``RUN.TOKEN`` for each, which its process locks.

    A file ``plan-RUN`` keeps the digest of the plan that an adaptive run began with, a file
    ``weights-RUN`` the weights that its newest attempt has read.

    ``run`` is a UUID in its usual form, ``token`` a positive number. Only the claim with the
    highest token of a run matters, so the others go when it is made. It goes after
    ``RETENTION_DAYS``: longer than any message lives, and the site refuses an attempt that is over
    anyway.
    """

    def __init__(self, folder: Path) -> None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._pruned = 0.0

    def standing(self, run: str, token: int) -> Standing:
        """Return the state of an attempt."""
        highest = 0
        for path in self._folder.glob(f"{run}.*"):
            highest = max(highest, int(path.suffix[1:]))
        if highest < token:
            return Standing.NEW
        if highest > token:
            return Standing.OLDER
        path = self._folder / f"{run}.{token}"
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return Standing.OVER if try_lock(descriptor) else Standing.HELD
        finally:
            os.close(descriptor)

    def claim(self, run: str, token: int) -> Claim | None:
        """Claim an attempt, on disk. Return None when another process has claimed it since."""
        path = self._folder / f"{run}.{token}"
        with disk_errors(path):
            descriptor = os.open(
                path,
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                0o600,
            )
            # Its first holder writes one byte into a claim: it is never held again.
            if not try_lock(descriptor) or os.fstat(descriptor).st_size:
                os.close(descriptor)
                return None
            os.write(descriptor, b"\n")
            os.fsync(descriptor)
            sync_folder(self._folder)
        self._prune(run, token)
        return Claim(descriptor)

    def pinned_plan(self, run: str) -> str:
        """Return the digest of the plan that a run began with on this host; empty for none."""
        path = self._folder / f"{PLAN}{run}"
        with disk_errors(path):
            return path.read_text("ascii") if path.exists() else ""

    def pin_plan(self, run: str, digest: str) -> None:
        """Keep the digest of a run's plan, on disk. The first one stays."""
        path = self._folder / f"{PLAN}{run}"
        if not self.pinned_plan(run):
            write_durably(path, digest.encode("ascii"))

    def identified(self, run: str, token: int) -> tuple[str, str] | None:
        """Return the digests of the files and of the tensors that an attempt has read.

        None where it has read none, or where a later one has.
        """
        path = self._folder / f"{WEIGHTS}{run}"
        with disk_errors(path):
            words = path.read_text("ascii").split() if path.exists() else []
        match words:
            case [of_token, artefact, weights] if of_token == str(token):
                return artefact, weights
            case _:
                return None

    def note_weights(
        self,
        run: str,
        token: int,
        *,
        artefact: str,
        weights: str,
    ) -> None:
        """Keep, on disk, the weights that an attempt has read, for the closing of its answers."""
        path = self._folder / f"{WEIGHTS}{run}"
        write_durably(path, f"{token} {artefact} {weights}\n".encode("ascii"))

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
            oldest = now - RETENTION_DAYS * _DAY
            for path in self._folder.iterdir():
                if path.stat().st_mtime < oldest:
                    path.unlink(missing_ok=True)


# --- the queue of the site's answers


def take_slot(folder: Path) -> Slot:
    """Take the lowest number that no living process of this evaluator holds, until this one ends.

    It names the queue of this process. A process that starts again gets the number of one that
    died, so that queues do not pile up.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for slot in range(SLOTS):
            descriptor = os.open(
                folder / str(slot),
                os.O_RDWR | os.O_CREAT | os.O_CLOEXEC,
                0o600,
            )
            if try_lock(descriptor):
                return slot
            os.close(descriptor)
    raise error(Code.MISCONFIGURED, "too many processes of one evaluator")


class MessageQueue:
    """Queue of messages of the site that a thread reads: lease answers of this process, probes.

    The worker's main thread is busy with an attempt, so a thread with a connection of its own reads
    the queue and hands the argument of each message to ``deliver``. Messages have the form of a
    task with one argument, as every message of this project: the transport lets no other pass.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        queue: str,
        deliver: Callable[[object], None],
    ) -> None:
        self._connect = connect
        self._deliver = deliver
        self._queue = Queue(queue, routing_key=queue, durable=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            name=f"queue {queue}",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self, *, seconds: float) -> None:
        """Stop reading, and wait up to ``seconds`` for that."""
        self._stop.set()
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection:
                    self._read(connection)
            except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
                _log.warning("messages cannot be read: %s", type(failure).__name__)
                self._stop.wait(PAUSE_SECONDS)

    def _read(self, connection: Connection) -> None:
        def receive(content: object, message: object) -> None:
            match content:
                case [[argument], *_]:
                    self._deliver(argument)
                case _:
                    self._deliver(None)

        with connection.Consumer(
            self._queue, callbacks=[receive], accept=["json"], no_ack=True
        ) as consumer:
            consumer.on_decode_error = lambda message, problem: None
            while not self._stop.is_set():
                try:
                    connection.drain_events(timeout=1)
                except TimeoutError:
                    continue
