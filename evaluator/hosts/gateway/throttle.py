"""Queue of questions: for a place, for the end of a pause, for the rest of the budget."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts.gateway.budget import Amount, Budget
from evaluator.hosts.gateway.pace import ACCEPTED_AFTER, Pace, Sent


@dataclass(slots=True, eq=False)
class _Waiting:
    worst: Amount
    turn: "asyncio.Future[Sent]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Throttle:
    """Sends questions, retries first: they have waited the longest.

    For each that was sent call :meth:`answered`, :meth:`refused` or :meth:`failed`, once.
    """

    def __init__(self, pace: Pace, budget: Budget) -> None:
        self._pace = pace
        self._budget = budget
        self._retries: deque[_Waiting] = deque()
        self._fresh: deque[_Waiting] = deque()
        self._problem: EvaluatorError | None = None
        self._held = False
        self._in_flight = 0
        self._timer: asyncio.TimerHandle | None = None

    async def enter(self, worst: Amount, *, again: bool) -> Sent:
        """Wait until a question that costs ``worst`` at most may be sent.

        Raises ``budget_spent``, but only once no other is in flight: until then an answer cheaper
        than its worst case could still make space. Raises the error of :meth:`shut`.
        """
        if self._problem:
            raise self._problem
        waiting = _Waiting(worst)
        (self._retries if again else self._fresh).append(waiting)
        self._send_next()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            turn = waiting.turn
            has_result = turn.done() and not turn.cancelled()
            if has_result and turn.exception() is None:
                self.failed(worst, spent=Amount())
            raise

    def answered(
        self,
        sent: Sent,
        worst: Amount,
        *,
        spent: Amount,
    ) -> None:
        """Count an answer that cost ``spent``."""
        self._pace.answered(sent)
        self._settle(worst, spent)

    def refused(
        self,
        sent: Sent,
        worst: Amount,
        *,
        spent: Amount,
        wait: float,
    ) -> None:
        """Count a refusal for overload."""
        self._pace.refused(sent, wait=wait, now=time.monotonic())
        self._settle(worst, spent)

    def failed(self, worst: Amount, *, spent: Amount) -> None:
        """Count a failure that has nothing to do with the number of requests."""
        self._settle(worst, spent)

    def shut(self, problem: EvaluatorError) -> None:
        """Fail all questions that wait and all that come with ``problem``."""
        self._problem = problem
        for waiting in (*self._retries, *self._fresh):
            if not waiting.turn.done():
                waiting.turn.set_exception(problem)

    @property
    def waiting(self) -> int:
        """Questions that wait to be sent for the first time."""
        return sum(not waiting.turn.done() for waiting in self._fresh)

    def hold(self) -> None:
        """Send no question for the first time until :meth:`release`."""
        self._held = True

    def release(self) -> None:
        """Go on after :meth:`hold`."""
        if self._held:
            self._held = False
            self._send_next()

    def send_one(self) -> None:
        """Send one fresh question, though the others are held."""
        while self._fresh and self._fresh[0].turn.done():
            self._fresh.popleft()
        if self._fresh:
            self._retries.append(self._fresh.popleft())
            self._send_next()

    def _settle(self, worst: Amount, spent: Amount) -> None:
        self._in_flight -= 1
        self._budget.settle(worst, spent)
        self._send_next()

    def _send_next(self) -> None:
        """Send as many questions as pace, pause and budget allow."""
        while queue := self._retries or (None if self._held else self._fresh):
            first = queue[0]
            fits = self._budget.fits(first.worst)
            if first.turn.done():  # cancelled
                queue.popleft()
            elif self._in_flight and (self._in_flight >= self._pace.limit or not fits):
                return
            elif not fits:
                queue.popleft().turn.set_exception(error(Code.BUDGET_SPENT))
            elif (pause := self._pace.not_before - time.monotonic()) > 0:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = asyncio.get_running_loop().call_later(pause, self._send_next)
                return
            else:
                queue.popleft()
                self._in_flight += 1
                self._budget.reserve(first.worst)
                sent = self._pace.send()
                if self._pace.growing:
                    asyncio.get_running_loop().call_later(ACCEPTED_AFTER, self._accept, sent)
                first.turn.set_result(sent)

    def _accept(self, sent: Sent) -> None:
        self._pace.accepted(sent)
        self._send_next()
