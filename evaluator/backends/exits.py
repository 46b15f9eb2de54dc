"""Cause of a model server's end, read from the end of its standard error and its exit status. Pure.

The model server may run hostile code, so the text is not trusted. A checkpoint that forges it wins
a few more attempts at most, and their number is bounded.
"""

import re

from evaluator.errors import Code

_SIGNS = (
    (
        re.compile(rb"Too many open files|EMFILE|ENFILE|can't start new thread|EAGAIN"),
        Code.HOST_RESOURCES,
    ),
    (re.compile(rb"No space left on device|Disk quota exceeded|ENOSPC|EDQUOT"), Code.DISK_FULL),
    (re.compile(rb"ModuleNotFoundError|No module named '"), Code.ENGINE_MISSING),
)


def exit_cause(
    stderr_tail: bytes,
    *,
    status: int | None,
    ready: bool,
) -> Code:
    """Return the code of a model server's end. ``status`` is its exit status, None while it runs.

    A server that exits while it loads has refused the checkpoint. After it was ready, or where a
    signal ended it, the host may be the cause as well as the checkpoint.
    """
    for sign, code in _SIGNS:
        if sign.search(stderr_tail):
            return code
    if status is None:
        return Code.HOST_FAILED
    return Code.HOST_DIED if ready or by_signal(status) else Code.HOST_FAILED


def by_signal(status: int) -> bool:
    """Return true where a signal ended the process, or the process inside its jail."""
    return status < 0 or status > 128
