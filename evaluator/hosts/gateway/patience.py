"""When to ask an endpoint again, and when to give up. Pure: time and chance are arguments."""

import math
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from evaluator.errors import Code

RETRIED = frozenset((Code.ENDPOINT_UNREACHABLE, Code.ENDPOINT_TIMEOUT, Code.ENDPOINT_ERROR, Code.ENDPOINT_RATE_LIMITED))


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of one question. Times in seconds.

    ``attempts`` counts failures of the endpoint; refusals for its rate limit are counted apart, since a busy
    provider gives many of them to a client that does nothing wrong.
    """

    timeout_seconds: float = 120.0
    attempts: int = 4
    rate_limited_attempts: int = 30
    backoff_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


def delay(
    patience: Patience, code: Code, *, failures: int, refusals: int, retry_after: float | None, chance: float
) -> float | None:
    """Seconds until the next attempt, None to give up.

    ``failures`` and ``refusals`` count what has happened including this time; ``chance`` is uniform in 0 … 1.
    The endpoint's own Retry-After is obeyed; one that is longer than we wait means giving up. Else backoff
    is exponential with full jitter in its upper half.
    """
    if code not in RETRIED:
        return None
    limited = code is Code.ENDPOINT_RATE_LIMITED
    if (refusals >= patience.rate_limited_attempts) if limited else (failures >= patience.attempts):
        return None
    if retry_after is not None:
        return retry_after if retry_after <= patience.longest_wait_seconds else None
    count = min(refusals if limited else failures, 30)
    longest = min(patience.backoff_seconds * 2.0 ** (count - 1), patience.longest_wait_seconds)
    return longest * (0.5 + chance / 2)


def retry_after_seconds(header: str | None, *, now: float) -> float | None:
    """What a Retry-After header asks for: seconds, or a date (RFC 9110, 10.2.3). None where it says nothing."""
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
