"""Decision between refusals of single items and of the whole endpoint.

- A content filter refuses one item with the very status by which a provider refuses a key. So a
  refusal waits for the others: once another question of the run is answered, it is about its item.
- Until then no further question is sent, except one at a time where no other is in flight. After
  ``FIRST`` refusals and no answer it is about the endpoint.
- A refusal of the key needs an answer that came after it, since a key can be revoked during a run.
"""

import asyncio
from collections.abc import Callable

from evaluator.hosts.gateway.adapter import Refused
from evaluator.hosts.gateway.throttle import Throttle

FIRST = 5
"""Refused questions, with no answer to any, before the endpoint counts as refusing them all."""
MOST_IN_A_ROW = 30
"""Refusals without an answer between, after which the endpoint counts as refusing the rest."""


class Standing:
    """Decides each refusal.

    ``answers`` counts the answers of the run, those of earlier attempts included. ``in_flight``
    returns the number of questions neither decided nor waiting to be sent.
    """

    def __init__(
        self,
        throttle: Throttle,
        *,
        answers: int,
        in_flight: Callable[[], int],
    ) -> None:
        self.answers = answers
        self._throttle = throttle
        self._in_flight = in_flight
        self._in_a_row = 0
        self._undecided: list[asyncio.Future[bool]] = []

    @property
    def undecided(self) -> int:
        """Refusals that wait for a decision."""
        return len(self._undecided)

    def answered(self) -> None:
        """Count an answer: every refusal that waits is about its own item."""
        self.answers += 1
        self._in_a_row = 0
        self._decide(about_item=True)
        self._throttle.release()

    def failed(self, refused: Refused) -> None:
        """Send no further question while the endpoint may be refusing them all."""
        if refused.reason is not None and (refused.about_key or not self.answers):
            self._throttle.hold()

    async def is_about_item(self, refused: Refused) -> bool:
        """Return true if the refusal is about its item, false if it is about all of them."""
        if refused.reason is None:
            return False
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            self._decide(about_item=False)
            return False
        if self.answers and not refused.about_key:
            return True
        self._throttle.hold()
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._undecided.append(decision)
        self.consider()
        try:
            return await decision
        finally:
            if decision in self._undecided:
                self._undecided.remove(decision)

    def consider(self) -> None:
        """Decide, or send one more question, where none is in flight any more."""
        if self._in_flight() > 0:
            return
        if not self._undecided:
            self._throttle.release()
        elif len(self._undecided) >= FIRST or not self._throttle.waiting:
            self._decide(about_item=False)
        else:
            self._throttle.send_one()

    def _decide(self, *, about_item: bool) -> None:
        undecided, self._undecided = self._undecided, []
        for decision in undecided:
            if not decision.done():
                decision.set_result(about_item)
