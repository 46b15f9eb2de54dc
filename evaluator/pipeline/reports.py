"""What an attempt tells the site: numbered, signed, spooled."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from evaluator.contract import Body, Progress, Report, Slot, Started
from evaluator.errors import EvaluatorError
from evaluator.pipeline.leases import Lease

_log = logging.getLogger(__name__)

Seal = Callable[[Report], dict[str, Any]]
"""Signs a report and gives the envelope's JSON data."""


class Reporter:
    """Sends the reports of one attempt. Sequence numbers count from 1; safe to be used from two threads.

    ``lease`` learns when each report was sent that the site answers.
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
        self._number: Callable[[int, Body], Report] = lambda sequence, body: Report(
            evaluator=evaluator,
            run=run,
            token=token,
            worker=worker,
            sequence=sequence,
            slot=slot,
            body=body,
        )
        self._seal = seal
        self._put = put
        self._lock = threading.Lock()
        self._sequence = 0

    def send(self, body: Body) -> None:
        """Spool one report; it is on disk when this returns. Raises ``disk_full`` or ``out_unwritable``."""
        with self._lock:
            self._put(self._next(body))

    def sealed(self, body: Body) -> dict[str, Any]:
        """Return the envelope of one report that does not go through the spool."""
        with self._lock:
            return self._next(body)

    def _next(self, body: Body) -> dict[str, Any]:
        self._sequence += 1
        if self.lease is not None and isinstance(body, Started | Progress):
            self.lease.sent(self._sequence)
        return self._seal(self._number(self._sequence, body))


class Heartbeat:
    """Reports every ``seconds`` that the attempt is alive, from a thread of its own, also while a model loads."""

    def __init__(self, reporter: Reporter, *, seconds: float, total: int, done: int) -> None:
        self._reporter = reporter
        self._seconds = seconds
        self._waits = False
        self._beat = Progress(phase="loading", done=done, total=total)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def asking(self, done: int, total: int) -> None:
        """From now on the beats say that ``done`` of ``total`` items have an outcome."""
        self._beat = Progress(phase="waiting" if self._waits else "asking", done=done, total=total)

    def waiting(self, waits: bool) -> None:
        """From now on the beats say that the endpoint is waited for, or no more. Not before the first item is asked."""
        self._waits = waits
        if self._beat.phase != "loading":
            self.asking(self._beat.done, self._beat.total)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._reporter.send(self._beat)
            except EvaluatorError as failure:
                _log.warning("heartbeat not spooled: %s", failure.code)
            if self._stop.wait(self._seconds):
                return
