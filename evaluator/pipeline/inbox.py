"""The queue on which the site answers this process, and the number that names it.

The worker's main thread is busy with an attempt, so a thread with a connection of its own reads the answers.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from kombu import Connection, Queue

from evaluator.contract import Slot
from evaluator.errors import Code, error
from evaluator.pipeline.disk import disk_errors

_log = logging.getLogger(__name__)

SLOTS = 1000
PAUSE_SECONDS = 0.5
"""Between tries while the broker does not answer."""


def take_slot(folder: Path) -> Slot:
    """Hold the lowest number that no living process of this evaluator holds, until this process ends.

    A process that starts again gets the number of one that died, so that queues do not pile up.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for slot in range(SLOTS):
            descriptor = os.open(folder / str(slot), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                return slot
    raise error(Code.MISCONFIGURED, "too many processes of one evaluator")


class Inbox:
    """Reads a queue from a thread of its own and hands the argument of each message to ``deliver``.

    Messages have the shape of a task with one argument, as every message of this project: the transport lets no other
    pass.
    """

    def __init__(
        self, connect: Callable[[], Connection], queue: str, deliver: Callable[[object], None]
    ) -> None:
        self._connect, self._deliver = connect, deliver
        self._queue = Queue(queue, routing_key=queue, durable=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)

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
                _log.warning("answers cannot be read: %s", type(failure).__name__)
                self._stop.wait(PAUSE_SECONDS)

    def _read(self, connection: Connection) -> None:
        def receive(content: object, message: object) -> None:
            arguments = content[0] if isinstance(content, list) and content else None
            self._deliver(
                arguments[0] if isinstance(arguments, list) and len(arguments) == 1 else None
            )

        with connection.Consumer(
            self._queue, callbacks=[receive], accept=["json"], no_ack=True
        ) as consumer:
            consumer.on_decode_error = lambda message, problem: None
            while not self._stop.is_set():
                try:
                    connection.drain_events(timeout=1)
                except TimeoutError:
                    continue
