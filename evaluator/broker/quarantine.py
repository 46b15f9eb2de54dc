"""Messages that were set aside: queue, size, digest and reason are recorded, the text is never logged."""

import hashlib
import logging
from dataclasses import dataclass

_log = logging.getLogger(__name__)

MOST = 100
"""How many messages are stored. Older ones make room; the count goes on."""
KEPT_BYTES = 4096
"""How much of each is stored, from its beginning."""


class Oversized(bytes):
    """The first bytes of a message that was too long to be read whole, with its size and digest."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """One message that could not be decoded. ``head`` is its beginning; it appears in no representation."""

    queue: str
    reason: str
    size: int
    digest: str
    head: bytes

    def __repr__(self) -> str:
        return f"Rejected(queue={self.queue}, reason={self.reason}, size={self.size}, sha256={self.digest[:16]})"


def reject(raw: bytes, *, queue: str, reason: str) -> Rejected:
    """Describe a message for the quarantine, and log what may be logged of it."""
    size = raw.size if isinstance(raw, Oversized) else len(raw)
    digest = raw.digest if isinstance(raw, Oversized) else hashlib.sha256(raw).hexdigest()
    rejected = Rejected(queue, reason, size, digest, bytes(raw[:KEPT_BYTES]))
    _log.warning(
        "message quarantined: queue=%s reason=%s bytes=%s sha256=%s", queue, reason, size, digest
    )
    return rejected
