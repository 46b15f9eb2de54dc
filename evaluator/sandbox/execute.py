"""The sandbox of one run.

with Sandbox() as sandbox:
    for execution in sandbox.run([Program("def f(): return 6 * 7", function="f")]):
        print(execution.disposition, execution.value)
"""

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Self

from evaluator.sandbox.cells import require
from evaluator.sandbox.jobs import Execution, Job
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.workers import Worker

_AHEAD = 4
"""Programs that wait for each worker, so that none waits for its next one."""


class Sandbox:
    """Jails of one run: programs of two runs share no process. A context manager.

    Entering it raises SANDBOX_MISSING where this machine cannot jail a program.
    """

    def __init__(self, limits: Limits | None = None, *, workers: int = 1) -> None:
        self._limits = limits or Limits()
        self._jobs: queue.SimpleQueue[tuple[Future[Execution], Job] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, daemon=True) for _ in range(max(1, workers))
        ]

    def __enter__(self) -> Self:
        require()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(queue.Empty):  # programs whose results are no longer wanted
            while True:
                self._jobs.get_nowait()
        for _thread in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def execute(self, job: Job) -> Execution:
        """Execute one program. Raises SANDBOX_FAILED, HOST_RESOURCES."""
        return self.submit(job).result()

    def submit(self, job: Job) -> Future[Execution]:
        """Enqueue one program. The future raises as ``execute``; cancelled, it is not begun."""
        future: Future[Execution] = Future()
        self._jobs.put((future, job))
        return future

    def run(self, jobs: Iterable[Job]) -> Iterator[Execution]:
        """Execute programs; the result of each is yielded in their order. Raises as ``execute``."""
        waiting: deque[Future[Execution]] = deque()
        for job in jobs:
            waiting.append(self.submit(job))
            if len(waiting) >= _AHEAD * len(self._threads):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _work(self) -> None:
        with Worker(self._limits) as worker:
            while (task := self._jobs.get()) is not None:
                future, job = task
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(worker.execute(job))
                except BaseException as failure:  # noqa: BLE001 - raised where it is waited for
                    future.set_exception(failure)
