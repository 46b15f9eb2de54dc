"""The journal's lines on their way to the public ledger, none forgotten by a crash.

A line is in the journal before its items are decrypted, and in the spool before a prompt leaves. Between
the two a process may die; ``shipped`` remembers how far the spool has come, and what lies beyond is sent
when the next process starts. It may lag, since the site keeps each line once.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from evaluator.contract import Exposed, Exposure
from evaluator.pipeline.disk import disk_errors

AT_A_TIME = 100
"""Lines in one report. A bitmap of a large set has tens of kilobytes."""


class Shipped:
    """A file that holds the index of the last journal line known to be in the spool; -1 before the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.last = -1
        with contextlib.suppress(OSError, ValueError):
            self.last = int(path.read_text(encoding="ascii"))

    def mark(self, index: int) -> None:
        """Line ``index`` and all before it are in the spool."""
        self.last = max(self.last, index)
        with disk_errors(self._path):
            self._path.write_text(str(self.last), encoding="ascii")


def ship(entries: Sequence[Exposure], shipped: Shipped, send: Callable[[str, int, Exposed], None]) -> None:
    """Send the lines that are not known to be in the spool, by ``send(run, token, body)`` of their attempt."""
    waiting = [entry for entry in entries if entry.index > shipped.last]
    while waiting:
        first = waiting[0]
        same = [entry for entry in waiting if (entry.run, entry.token) == (first.run, first.token)][:AT_A_TIME]
        send(first.run, first.token, Exposed(entries=tuple(same)))
        waiting = [entry for entry in waiting if entry not in same]
    if entries:
        shipped.mark(entries[-1].index)
