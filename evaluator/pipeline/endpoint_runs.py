"""Runs of endpoints: several at once in one worker, apart from the run of weights.

An endpoint is waited for, not computed. Its run has a thread of its own, next to the worker's main
thread, which a run of weights holds. A silent endpoint holds one place, and no other run.

- The site sends these runs to a queue of this evaluator, as many as it has free places.
- A message is taken only while a place is free, and dropped where it has expired meanwhile: the
  site then sends its run to an evaluator that has a free place.
- All of these runs share the requests that may be in flight to one host (``HostRequests``).
"""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

from kombu import Connection, Queue
from kombu.message import Message

from evaluator.backends import Backend, Completion, Sampling
from evaluator.contract import Endpoint
from evaluator.pipeline.leases import PAUSE_SECONDS

_log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""Seconds between two looks into an empty queue."""
TURN_SECONDS = 0.05
"""Seconds between two looks whether a host takes one more request."""


class EndpointRuns:
    """Places for runs of endpoints. ``work`` makes one attempt for the argument of a message."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        queue: str,
        work: Callable[[object], None],
        *,
        places: int,
    ) -> None:
        self._connect = connect
        self._work = work
        self._queue = Queue(queue, routing_key=queue, durable=False)
        self._free = threading.Semaphore(places)
        self._stop = threading.Event()
        self._reader = threading.Thread(
            target=self._read_on,
            name=f"queue {queue}",
            daemon=True,
        )
        self._runs: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to take runs."""
        self._reader.start()

    def close(self, *, seconds: float) -> None:
        """Take no more runs, and wait up to ``seconds`` for the end of those under way."""
        end = time.monotonic() + seconds
        self._stop.set()
        for thread in (self._reader, *self._runs):
            thread.join(timeout=max(0.0, end - time.monotonic()))

    def _read_on(self) -> None:
        while not self._stop.is_set():
            try:
                with self._connect() as connection, connection.channel() as channel:
                    queue = self._queue(channel)
                    queue.declare()
                    while not self._stop.is_set():
                        self._take_one(queue)
            except Exception as failure:  # noqa: BLE001 - whatever a broker's client raises
                _log.warning("messages cannot be read: %s", type(failure).__name__)
                self._stop.wait(PAUSE_SECONDS)

    def _take_one(self, queue: Queue) -> None:
        """Begin the run of the next message once a place is free; wait a moment without one."""
        if not self._free.acquire(timeout=LOOK_SECONDS):
            return
        begun = False
        try:
            message = queue.get(no_ack=True, accept=["json"])
            if message is None:
                self._stop.wait(LOOK_SECONDS)
            elif not _is_expired(message):
                self._begin(message)
                begun = True
        finally:
            if not begun:
                self._free.release()

    def _begin(self, message: Message) -> None:
        """Begin the run of a message; of one that is no task with an argument, of None."""
        job: object = None
        match message.payload:
            case [[argument], *_]:
                job = argument
        self._runs = [thread for thread in self._runs if thread.is_alive()]
        thread = threading.Thread(
            target=self._run,
            args=[job],
            name="endpoint run",
            daemon=True,
        )
        self._runs.append(thread)
        thread.start()

    def _run(self, job: object) -> None:
        try:
            self._work(job)
        except Exception as surprise:  # noqa: BLE001 - the place is free again however a run ends
            _log.error("unexpected %s", type(surprise).__name__)
        finally:
            self._free.release()


def _is_expired(message: Message) -> bool:
    """Return True for a message whose time, as its sender states it, is over or is none."""
    expires = (message.headers or {}).get("expires")
    if expires is None:
        return False
    try:
        moment = datetime.fromisoformat(expires)
    except (TypeError, ValueError):
        return True
    return moment.astimezone(UTC) < datetime.now(UTC)


class HostRequests:
    """Requests in flight to each host, at most ``most``, over all runs of this process.

    A run may have as many as if one more run asked the host: so that one which begins finds some
    left, however silent the host is for the others.
    """

    def __init__(self, most: int = 128) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._in_flight: dict[str, Counter[object]] = {}

    @asynccontextmanager
    async def sharing(self, system: Endpoint, backend: Backend) -> AsyncIterator[Backend]:
        """Return the backend of a run that shares its host with other runs, for one block."""
        _, _, place = urlsplit(system.url).netloc.rpartition("@")
        host = place.lower() or system.provider
        run = object()
        with self._lock:
            self._in_flight.setdefault(host, Counter())[run] = 0
        try:
            yield _Sharing(self, host, run, backend)
        finally:
            with self._lock:
                del self._in_flight[host][run]
                if not self._in_flight[host]:
                    del self._in_flight[host]

    def take(self, host: str, run: object) -> bool:
        """Count one more request of a run, where its host takes one."""
        with self._lock:
            runs = self._in_flight[host]
            share = max(1, self._most // (len(runs) + 1))
            if runs[run] >= share or runs.total() >= self._most:
                return False
            runs[run] += 1
            return True

    def give_back(self, host: str, run: object) -> None:
        """Count one request of a run less."""
        with self._lock:
            self._in_flight[host][run] -= 1


class _Sharing:
    """Backend whose requests wait until their host takes one more."""

    def __init__(
        self,
        requests: HostRequests,
        host: str,
        run: object,
        backend: Backend,
    ) -> None:
        self._requests = requests
        self._host = host
        self._run = run
        self._backend = backend

    async def complete(self, prompt: str, sampling: Sampling) -> Completion:
        """See :class:`Backend`."""
        while not self._requests.take(self._host, self._run):
            await asyncio.sleep(TURN_SECONDS)
        try:
            return await self._backend.complete(prompt, sampling)
        finally:
            self._requests.give_back(self._host, self._run)
