"""Refusals of single items and of the whole endpoint, told apart.

A content filter refuses one item with the very status by which a provider refuses a key. So a refusal waits for the
others: once another question of the run is answered, it is about its item. Until then no further question is sent,
except one at a time where nothing else is under way; after ``FIRST`` refusals and no answer it is about the endpoint.
A refusal of the key needs an answer that came after it, since a key can be revoked during a run.
"""

import asyncio
from collections.abc import Callable

from evaluator.hosts.gateway.adapter import Refused
from evaluator.hosts.gateway.gate import Gate

FIRST = 5
"""Questions that are refused, with no answer to any, before the endpoint counts as refusing them all."""
MOST_IN_A_ROW = 30
"""Refusals without an answer between, after which the endpoint counts as refusing the rest."""


class Standing:
    """Decides each refusal. ``answers`` counts the answers of the run, those of earlier attempts included.

    ``under_way`` returns how many questions are being asked: neither decided nor waiting at the gate.
    """

    def __init__(self, gate: Gate, *, answers: int, under_way: Callable[[], int]) -> None:
        self.answers = answers
        self._gate = gate
        self._under_way = under_way
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
        self._gate.release()

    def failed(self, refused: Refused) -> None:
        """Send no further question while it is open whether the endpoint refuses them all."""
        if refused.reason is not None and (refused.about_key or not self.answers):
            self._gate.hold()

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
        self._gate.hold()
        decision: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._undecided.append(decision)
        self.consider()
        try:
            return await decision
        finally:
            if decision in self._undecided:
                self._undecided.remove(decision)

    def consider(self) -> None:
        """Decide, or let one more question through, where nothing is under way any more."""
        if self._under_way() > 0:
            return
        if not self._undecided:
            self._gate.release()
        elif len(self._undecided) >= FIRST or not self._gate.waiting:
            self._decide(about_item=False)
        else:
            self._gate.let_one()

    def _decide(self, *, about_item: bool) -> None:
        undecided, self._undecided = self._undecided, []
        for decision in undecided:
            if not decision.done():
                decision.set_result(about_item)
