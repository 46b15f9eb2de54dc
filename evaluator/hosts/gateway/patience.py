"""Retries: the delay until the next attempt, or none. Pure: time and chance are arguments."""

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from evaluator.errors import Code

LATER = frozenset(
    (
        Code.ENDPOINT_UNREACHABLE,
        Code.ENDPOINT_TIMEOUT,
        Code.ENDPOINT_ERROR,
        Code.ENDPOINT_RATE_LIMITED,
    )
)
"""Failures that pass by themselves, however long that takes."""
RETRIED = LATER | {Code.ENDPOINT_BAD_RESPONSE}
_POLITE = 10
"""Refusals for a rate limit after which a server's Retry-After alone no longer decides."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of one question. Times in seconds.

    ``attempts`` counts failures while the endpoint answers other questions. Refusals for its rate
    limit are counted apart: a busy provider gives many of them to a well-behaved client.

    An endpoint that answers nothing at all is waited for: ``outage_seconds`` where it has answered
    in this run before, ``start_seconds`` where it never has. ``run_seconds`` is the time of the
    whole run, within which a Retry-After is obeyed.
    """

    timeout_seconds: float = 120.0
    attempts: int = 4
    rate_limited_attempts: int = 30
    backoff_seconds: float = 0.5
    longest_wait_seconds: float = 60.0
    outage_seconds: float = 1800.0
    start_seconds: float = 0.0
    run_seconds: float = 21_600.0


@dataclass(slots=True)
class History:
    """Failures of one question.

    ``alive`` while the endpoint answered others, ``silent`` while it answered nothing, for the last
    ``silence`` seconds.
    """

    alive: int = 0
    silent: int = 0
    refusals: int = 0
    silence: float = 0.0

    @property
    def failures(self) -> int:
        """All but refusals for a rate limit."""
        return self.alive + self.silent


def delay(
    patience: Patience,
    code: Code,
    history: History,
    *,
    answered: bool,
    retry_after: float | None,
    left: float,
    chance: float,
) -> float | None:
    """Return the seconds until the next attempt, None if there is none.

    ``history`` includes this failure; ``answered`` is true if the endpoint has answered in this
    run, ``left`` is the rest of its time; ``chance`` is uniform in 0 … 1. The endpoint's own
    Retry-After is obeyed within that time. Else backoff is exponential with full jitter in its
    upper half.
    """
    if code not in RETRIED:
        return None
    if code is Code.ENDPOINT_RATE_LIMITED:
        # Hopeless after too many refusals, or too long without an answer.
        too_often = history.refusals >= patience.rate_limited_attempts
        was_polite = answered and history.refusals >= _POLITE
        too_long = was_polite and history.silence >= patience.outage_seconds
        hopeless = too_often or too_long
        count = history.refusals
    else:
        hopeless = _is_hopeless(patience, code, history, answered=answered)
        count = history.failures
    if hopeless:
        return None
    if retry_after is None:
        wait = _backoff(patience, count, chance)
    elif answered and count > _POLITE:
        wait = max(retry_after, _backoff(patience, count - _POLITE, 0.0))
    else:
        wait = max(retry_after, 0.0)
    return wait if wait <= left else None


def _is_hopeless(
    patience: Patience,
    code: Code,
    history: History,
    *,
    answered: bool,
) -> bool:
    """Return true where one question has failed too often, or the endpoint was silent too long.

    An endpoint that has never answered gets no further attempt after a silence of one time-out:
    each more would hold the evaluator for as long again.
    """
    silent_from_the_start = not answered and code in LATER and history.alive == 0
    if silent_from_the_start and history.silence >= patience.timeout_seconds:
        return history.silence >= patience.start_seconds
    if history.failures < patience.attempts:
        return False
    if code not in LATER or history.alive >= patience.attempts:
        return True
    longest = patience.outage_seconds if answered else patience.start_seconds
    return history.silence >= longest


def _backoff(patience: Patience, count: int, chance: float) -> float:
    doublings = min(count, 30) - 1
    wait = patience.backoff_seconds * 2.0**doublings
    longest = min(wait, patience.longest_wait_seconds)
    return longest * (0.5 + chance / 2)


def retry_after_seconds(header: str | None, *, now: float) -> float | None:
    """Return the seconds of a Retry-After header: a number, or a date (RFC 9110, 10.2.3).

    None where it holds neither.
    """
    if header is None or len(header) > 100:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
