"""Where questions wait until they may be sent: for a place, for the end of a pause, for what is left of the budget."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from evaluator.errors import Code, EvaluatorError, error
from evaluator.hosts.gateway.budget import Amount, Budget
from evaluator.hosts.gateway.pace import TAKEN_AFTER, Pace, Sent


@dataclass(slots=True, eq=False)
class _Waiting:
    worst: Amount
    turn: "asyncio.Future[Sent]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Gate:
    """Lets questions through, those that were refused before first: they have waited the longest.

    Each that was let through is told of by :meth:`answered`, :meth:`refused` or :meth:`failed`, once.
    """

    def __init__(self, pace: Pace, budget: Budget) -> None:
        self._pace, self._budget = pace, budget
        self._again: deque[_Waiting] = deque()
        self._fresh: deque[_Waiting] = deque()
        self._shut: EvaluatorError | None = None
        self._held = False
        self._away = 0
        self._alarm: asyncio.TimerHandle | None = None

    async def enter(self, worst: Amount, *, again: bool) -> Sent:
        """Wait until a question that costs ``worst`` at most may be sent. Raises ``budget_spent``.

        That is raised only once nothing is on its way any more: till then an answer that was cheaper than it
        might have been could still make room. Raises what :meth:`shut` was told.
        """
        if self._shut:
            raise self._shut
        one = _Waiting(worst)
        (self._again if again else self._fresh).append(one)
        self._open()
        try:
            return await one.turn
        except asyncio.CancelledError:
            if one.turn.done() and not one.turn.cancelled() and one.turn.exception() is None:
                self.failed(worst, spent=Amount())
            raise

    def answered(self, sent: Sent, worst: Amount, *, spent: Amount) -> None:
        """An answer came, and cost ``spent``."""
        self._pace.answered(sent)
        self._back(worst, spent)

    def refused(self, sent: Sent, worst: Amount, *, spent: Amount, wait: float) -> None:
        """It was too much for the endpoint."""
        self._pace.refused(sent, wait=wait, now=time.monotonic())
        self._back(worst, spent)

    def failed(self, worst: Amount, *, spent: Amount) -> None:
        """It failed, for a reason that has nothing to do with how much is asked."""
        self._back(worst, spent)

    def shut(self, problem: EvaluatorError) -> None:
        """No more questions are let through: not those that wait, and none that comes."""
        self._shut = problem
        for one in (*self._again, *self._fresh):
            if not one.turn.done():
                one.turn.set_exception(problem)

    @property
    def waiting(self) -> int:
        """Questions that wait to be sent for the first time."""
        return sum(not one.turn.done() for one in self._fresh)

    @property
    def paused(self) -> bool:
        """Whether a pause that the endpoint asked for is not over."""
        return self._pace.not_before > time.monotonic()

    def hold(self) -> None:
        """Let no question through for the first time until :meth:`release`."""
        self._held = True

    def release(self) -> None:
        """Go on after :meth:`hold`."""
        if self._held:
            self._held = False
            self._open()

    def let_one(self) -> None:
        """Let one fresh question through, though the others are held."""
        while self._fresh and self._fresh[0].turn.done():
            self._fresh.popleft()
        if self._fresh:
            self._again.append(self._fresh.popleft())
            self._open()

    def _back(self, worst: Amount, spent: Amount) -> None:
        self._away -= 1
        self._budget.settle(worst, spent)
        self._open()

    def _open(self) -> None:
        while queue := self._again or (None if self._held else self._fresh):
            if queue[0].turn.done():  # nobody waits for it any more
                queue.popleft()
            elif self._away and (
                self._away >= self._pace.limit or not self._budget.fits(queue[0].worst)
            ):
                return
            elif not self._budget.fits(queue[0].worst):
                queue.popleft().turn.set_exception(error(Code.BUDGET_SPENT))
            elif (pause := self._pace.not_before - time.monotonic()) > 0:
                self._open_later(pause)
                return
            else:
                self._let_through(queue.popleft())

    def _let_through(self, one: _Waiting) -> None:
        self._away += 1
        self._budget.reserve(one.worst)
        sent = self._pace.send()
        if self._pace.growing:
            asyncio.get_running_loop().call_later(TAKEN_AFTER, self._take, sent)
        one.turn.set_result(sent)

    def _take(self, sent: Sent) -> None:
        self._pace.taken(sent)
        self._open()

    def _open_later(self, pause: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(pause, self._open)
