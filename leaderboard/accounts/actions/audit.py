"""Writing the log of what maintainers do."""

import re

from leaderboard.accounts.models import LONGEST_REASON, AuditEntry

_MOST = 300


_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_PART_OF_UPLOAD = re.compile(r"/api/v1/uploads/[0-9a-f-]+/(files/.*|complete)")


def is_logged(method: str | None, path: str) -> bool:
    """Return True for a request that may change something and is an act of its own.

    The chunks of an upload are parts of one act, which its first request is.
    """
    return method not in _SAFE and _PART_OF_UPLOAD.fullmatch(path) is None


def record_act(
    *,
    actor: str,
    act: str,
    subject: str = "",
    why: str = "",
) -> None:
    """Write that a maintainer is about to act. Called before the act, which then may still fail."""
    AuditEntry.objects.create(
        actor=actor,
        act=act[:100],
        subject=subject[:_MOST],
        why=why.strip()[:LONGEST_REASON],
    )
