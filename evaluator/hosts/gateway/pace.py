"""Number of questions in flight to an endpoint, adapted to its refusals. Pure.

- The limit starts at 20, as in other clients. It grows by one with each question that is accepted
  until the endpoint first reports overload; from then on by one for as many answers as the limit is
  (additive increase).
- A question is accepted once it is answered, or has not been refused for a moment: a rate limiter
  refuses at once, and a model that thinks for ten seconds would else have its first twenty
  questions to itself for as long.
- The limit is halved (multiplicative decrease) where half of the recent questions were refused. One
  refusal alone does not halve it: a busy provider refuses a share of every client's requests, and a
  limit that shrank for each would end at one question at a time without fewer refusals. The refused
  question waits for as long as the endpoint asked in any case.
"""

from collections import deque
from dataclasses import dataclass

START = 20
ACCEPTED_AFTER = 0.1
"""Seconds without a refusal."""
_SHORTEST_WINDOW = 32


@dataclass(slots=True, eq=False)
class Sent:
    """Question in flight, or a recent one."""

    refused: bool = False
    accepted: bool = False


class Pace:
    """Limit of questions in flight, ``ceiling`` at most; none before ``not_before`` (seconds)."""

    def __init__(self, ceiling: int) -> None:
        self.not_before = 0.0
        self._ceiling = ceiling
        self._limit = float(min(START, ceiling))
        self._cut = False
        self._recent: deque[Sent] = deque()

    @property
    def limit(self) -> int:
        """Questions that may be in flight at once; at least one."""
        return int(self._limit)

    @property
    def growing(self) -> bool:
        """True while each accepted question raises the limit."""
        return not self._cut and self._limit < self._ceiling

    def send(self) -> Sent:
        """Count one more in flight."""
        sent = Sent()
        self._recent.append(sent)
        while len(self._recent) > max(_SHORTEST_WINDOW, self.limit):
            self._recent.popleft()
        return sent

    def accepted(self, sent: Sent) -> None:
        """Count a question that was answered, or not refused for ``ACCEPTED_AFTER``, once."""
        if not sent.accepted and not sent.refused and not self._cut:
            self._limit = min(self._ceiling, self._limit + 1.0)
        sent.accepted = True

    def answered(self, sent: Sent) -> None:
        """Count an answer."""
        if self._cut:
            self._limit = min(self._ceiling, self._limit + 1 / self._limit)
        self.accepted(sent)

    def refused(
        self,
        sent: Sent,
        *,
        wait: float,
        now: float,
    ) -> None:
        """Count a refusal for overload by an endpoint that asks for ``wait`` seconds.

        A question sent before the limit was last cut does not cut it again, but prolongs a pause.
        """
        sent.refused = True
        refusals = sum(other.refused for other in self._recent)
        if sent in self._recent and refusals * 2 >= len(self._recent):
            self._limit = max(1.0, self._limit / 2)
            self._cut = True
            self._recent.clear()
            self.not_before = max(self.not_before, now + wait)
        elif now < self.not_before:
            self.not_before = max(self.not_before, now + wait)
