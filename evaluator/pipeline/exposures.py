"""The journal's lines on their way to the public ledger, none forgotten by a crash.

A line is in the journal before its items are decrypted, and in the spool before a prompt leaves. Between
the two a process may die; ``shipped`` remembers how far the spool has come, and what lies beyond is sent
when the next process starts. It may lag, since the site keeps each line once.
"""

import contextlib
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from evaluator.contract import NO_RUN, Closing, Exposure, LogLine
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


def ship(
    lines: Sequence[LogLine], shipped: Shipped, send: Callable[[str, int, Sequence[LogLine]], None]
) -> None:
    """Send the lines that are not known to be in the spool, by ``send(run, token, lines)`` of their attempt.

    A line that belongs to no attempt is sent as one of :data:`evaluator.contract.NO_RUN`.
    """
    waiting = [line for line in lines if line.index > shipped.last]
    for (run, token), group in groupby(waiting, key=_attempt):
        same = list(group)
        for start in range(0, len(same), AT_A_TIME):
            send(run, token, same[start : start + AT_A_TIME])
    if lines:
        shipped.mark(lines[-1].index)


def _attempt(line: LogLine) -> tuple[str, int]:
    return (line.run, line.token) if isinstance(line, Exposure | Closing) else (NO_RUN, 1)
