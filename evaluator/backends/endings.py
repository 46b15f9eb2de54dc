"""Why a model server ended, from its last words and how its process ended. Pure.

The words may be those of a stranger's program. All that it can win by lying is a few more attempts, which are bounded.
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


def ending(last_words: bytes, *, status: int | None, ready: bool) -> Code:
    """Return the code of a model server's end. ``status`` is that of its process, None while it runs.

    A server that ended by itself while it loaded refused the checkpoint. One that was ready, or was ended by a signal,
    may have been ended by its host as well as by the checkpoint.
    """
    for sign, code in _SIGNS:
        if sign.search(last_words):
            return code
    if status is None:
        return Code.HOST_FAILED
    return Code.HOST_DIED if ready or by_signal(status) else Code.HOST_FAILED


def by_signal(status: int) -> bool:
    """Return True where a signal ended a process, or what a jail ran."""
    return status < 0 or status > 128
