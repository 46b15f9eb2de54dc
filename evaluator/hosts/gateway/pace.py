"""How many questions may be on their way to an endpoint at once: learnt from what it refuses. Pure.

The limit starts at 20, as other clients do, and grows by one with each question that is taken until the endpoint
first says that it is too much; from then on by one for as many answers as the limit says (additive increase). A
question is taken once it is answered, or has not been refused for a moment: who limits a rate says so at once, and a
model that thinks for ten seconds would else have its first twenty questions to itself for as long. It is halved
(multiplicative decrease) where half of what was sent lately was refused. One refusal alone does not halve it: a busy
provider refuses a share of what anyone sends, and a limit that shrank for each would end at one question at a time
without being refused any less. The question that was refused waits for as long as it was told in any case.
"""

from collections import deque
from dataclasses import dataclass

START = 20
TAKEN_AFTER = 0.1
"""Seconds without a refusal."""
_SHORTEST_WINDOW = 32


@dataclass(slots=True, eq=False)
class Sent:
    """One question on its way, or one that was lately."""

    refused: bool = False
    taken: bool = False


class Pace:
    """``limit`` questions at once, ``ceiling`` at most; none before the time ``not_before``. Times in seconds."""

    def __init__(self, ceiling: int) -> None:
        self.not_before = 0.0
        self._ceiling = ceiling
        self._limit = float(min(START, ceiling))
        self._cut = False
        self._lately: deque[Sent] = deque()

    @property
    def limit(self) -> int:
        """Questions that may be on their way at once; at least one."""
        return int(self._limit)

    @property
    def growing(self) -> bool:
        """Whether each question that is taken makes room for another."""
        return not self._cut and self._limit < self._ceiling

    def send(self) -> Sent:
        """One more is on its way."""
        sent = Sent()
        self._lately.append(sent)
        while len(self._lately) > max(_SHORTEST_WINDOW, self.limit):
            self._lately.popleft()
        return sent

    def taken(self, sent: Sent) -> None:
        """It was answered, or not refused for ``TAKEN_AFTER``. Only the first time counts."""
        if not sent.taken and not sent.refused and not self._cut:
            self._limit = min(self._ceiling, self._limit + 1.0)
        sent.taken = True

    def answered(self, sent: Sent) -> None:
        """An answer came."""
        if self._cut:
            self._limit = min(self._ceiling, self._limit + 1 / self._limit)
        self.taken(sent)

    def refused(self, sent: Sent, *, wait: float, now: float) -> None:
        """It was too much for the endpoint, which asks to be left alone for ``wait`` seconds.

        What was sent before the limit was last cut does not cut it again, but it does prolong a pause.
        """
        sent.refused = True
        if (
            sum(one.refused for one in self._lately) * 2 >= len(self._lately) > 0
            and sent in self._lately
        ):
            self._limit = max(1.0, self._limit / 2)
            self._cut = True
            self._lately.clear()
            self.not_before = max(self.not_before, now + wait)
        elif now < self.not_before:
            self.not_before = max(self.not_before, now + wait)
