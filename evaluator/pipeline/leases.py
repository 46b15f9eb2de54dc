"""Leases of the site, as an evaluator holds them.

An attempt reveals nothing, asks nothing and starts no model before the site has granted its lease. From
then on the order is:

- each Started and Progress report is answered by the site;
- the lease ends ``seconds`` after the *sending* of the newest report that was granted, so it never
  outlasts the site's own record of it;
- the vault asks for the lease before each reveal, the pipeline before each question, and a task beside
  both ends the attempt once the lease has lapsed or the site has refused it.

A lease that has once lapsed is never valid again.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol as Shape

from evaluator.contract import LeaseAnswer, LeaseRefusal, RunId, Slot, Token
from evaluator.errors import Code, EvaluatorError, error

_log = logging.getLogger(__name__)

WATCH_SECONDS = 0.1
LONGEST_BEGIN = 60.0
"""Seconds that an attempt waits for its first grant, at most; a job may ask for less by its lease."""


def boot_time() -> float:
    """Seconds of a clock that also counts the time for which the machine was asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """The lease of one attempt. Safe to be used from several threads."""

    def __init__(
        self,
        *,
        run: RunId,
        token: Token,
        worker: str,
        seconds: float,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self.run, self.token, self.worker, self.seconds = run, token, worker, seconds
        self.refusal: LeaseRefusal | None = None
        self._now = now
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._sent: dict[int, float] = {}
        self._until: float | None = None
        self._lost = False

    def sent(self, sequence: int) -> None:
        """Note that the report ``sequence`` is about to be sent: its grant counts from now."""
        with self._lock:
            self._sent[sequence] = self._now()

    def take(self, answer: LeaseAnswer) -> None:
        """Take an answer of the site. One to another attempt, or to an unsent report, changes nothing."""
        if (answer.run, answer.token, answer.worker) != (self.run, self.token, self.worker):
            return
        with self._lock:
            if answer.refusal is not None:
                self.refusal = self.refusal or answer.refusal
                self._answered.set()
                return
            sent = self._sent.get(answer.sequence)
            if sent is None:
                return
            self._sent = {
                number: at for number, at in self._sent.items() if number > answer.sequence
            }
            self._until = max(self._until or 0.0, sent + self.seconds)
            self._answered.set()

    def is_valid(self) -> bool:
        """Return True while something may be revealed and asked."""
        with self._lock:
            if self._until is None:
                return False
            self._lost = self._lost or self.refusal is not None or self._now() >= self._until
            return not self._lost

    def check(self) -> None:
        """Raise ``lease_lost`` unless the lease is valid."""
        if not self.is_valid():
            raise error(Code.LEASE_LOST)

    def wait(self, seconds: float) -> bool:
        """Wait for the first answer. Return False where none came within ``seconds``."""
        return self._answered.wait(seconds)

    async def watch(self) -> None:
        """Raise ``lease_lost`` as soon as the lease is not valid."""
        while True:
            self.check()
            await asyncio.sleep(WATCH_SECONDS)


class Leases(Shape):
    """The leases of one process of an evaluator; the vault's guard."""

    @property
    def slot(self) -> Slot | None:
        """The number that reports carry so that the site can answer; None where none is awaited."""

    def hold(
        self, *, run: RunId, token: Token, worker: str, seconds: float
    ) -> AbstractContextManager[Lease]:
        """A lease that is answered while the block runs."""

    def permit(self, *, run: RunId, token: Token) -> AbstractContextManager[None]:
        """Permit reveals to our own jail, for an order of the site that is no attempt."""

    def check(self, *, run: RunId, token: Token) -> None:
        """Raise ``lease_lost`` unless this process holds a valid lease of the attempt, or a permit."""


class AnsweredLeases:
    """Leases that the site grants: ``deliver`` is given whatever arrives on this process's queue."""

    def __init__(self, slot: Slot, *, now: Callable[[], float] = boot_time) -> None:
        self._slot, self._now = slot, now
        self._held: Lease | None = None
        self._permit: tuple[RunId, Token] | None = None

    @property
    def slot(self) -> Slot:
        """See :class:`Leases`."""
        return self._slot

    @contextmanager
    def hold(self, *, run: RunId, token: Token, worker: str, seconds: float) -> Iterator[Lease]:
        """See :class:`Leases`. One attempt at a time."""
        self._held = Lease(run=run, token=token, worker=worker, seconds=seconds, now=self._now)
        try:
            yield self._held
        finally:
            self._held = None

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
        held = self._held
        if held is None or (held.run, held.token) != (run, token):
            raise error(Code.LEASE_LOST)
        held.check()

    def deliver(self, data: object) -> None:
        """Take whatever arrived. What is no answer is dropped."""
        try:
            answer = LeaseAnswer.from_dict(data)
        except EvaluatorError as refused:
            _log.warning("answer refused: code=%s", refused.code)
            return
        if held := self._held:
            held.take(answer)


class _Granted(Lease):
    def is_valid(self) -> bool:
        return True

    def wait(self, seconds: float) -> bool:
        return True


class GrantedLeases:
    """Leases for use without a site: every attempt holds one."""

    slot: Slot | None = None

    @contextmanager
    def hold(self, *, run: RunId, token: Token, worker: str, seconds: float) -> Iterator[Lease]:
        """See :class:`Leases`."""
        yield _Granted(run=run, token=token, worker=worker, seconds=seconds)

    @contextmanager
    def permit(self, *, run: RunId, token: Token) -> Iterator[None]:
        """See :class:`Leases`."""
        yield

    def check(self, *, run: RunId, token: Token) -> None:
        """See :class:`Leases`."""
