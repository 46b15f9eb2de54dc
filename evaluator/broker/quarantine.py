"""Quarantine of messages that cannot be decoded.

Queue, size, digest and reason are recorded; the text is never logged.
"""

import hashlib
import logging
from dataclasses import dataclass

_log = logging.getLogger(__name__)

MOST = 100
"""Messages that are stored at most. The oldest are deleted; the count goes on."""
HEAD_BYTES = 4096
"""Bytes of each message that are stored, from its beginning."""


class Oversized(bytes):
    """First bytes of a message that was too long to be read whole, with its size and digest."""

    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """Message that could not be decoded. ``head`` is its beginning, which ``repr`` leaves out."""

    queue: str
    reason: str
    size: int
    digest: str
    head: bytes

    def __repr__(self) -> str:
        digest = self.digest[:16]
        return f"Rejected({self.queue}, {self.reason}, size={self.size}, sha256={digest})"


def reject(raw: bytes, *, queue: str, reason: str) -> Rejected:
    """Describe a message for the quarantine, and log all but its text."""
    if isinstance(raw, Oversized):
        size = raw.size
        digest = raw.digest
    else:
        size = len(raw)
        digest = hashlib.sha256(raw).hexdigest()
    rejected = Rejected(queue, reason, size, digest, bytes(raw[:HEAD_BYTES]))
    _log.warning(
        "message quarantined: queue=%s reason=%s bytes=%s sha256=%s",
        queue,
        reason,
        size,
        digest,
    )
    return rejected
