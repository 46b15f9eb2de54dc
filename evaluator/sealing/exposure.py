"""Journal of exposures, on disk before the first byte of an item is decrypted.

It also records closings of runs, enrolments of hosts, and releases. One file of signed, chained
lines per evaluator (``evaluator.ledger.entries``). Several processes of one evaluator may share
it: each locks the file to write, and first reads the lines that others wrote.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import Hex32, LogLine
from evaluator.errors import Code, EvaluatorError, error
from evaluator.ledger import signatures
from evaluator.ledger.entries import Head, entry_hash, origin, read_line, sign_entry, verify_chain
from evaluator.ledger.notes import TreeHead, sign_head
from evaluator.ledger.tree import Tree
from evaluator.sealing import appending
from evaluator.sealing.formats import to_line

_L = TypeVar("_L", bound=LogLine)


def _now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """Journal of an evaluator at ``path``, verified when opened.

    A last line without its end is left by a crash: nothing was decrypted for it, so it is cut off.
    Any other line that does not verify raises ``journal_broken``. ``clock`` returns the time of new
    lines.
    """

    def __init__(
        self,
        path: Path,
        evaluator: str,
        signing_key: Ed25519PrivateKey,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._evaluator = evaluator
        self._signing_key = signing_key
        self._clock = clock
        self._public_hex = signatures.public_hex(signing_key)
        self._head = Head()
        self._end = 0
        self._tree = Tree()
        self._lock = threading.Lock()
        self._name = path.name
        try:
            self._descriptor = appending.open_for_appending(path)
        except OSError as problem:
            raise appending.failure(problem, Code.OUT_UNWRITABLE, str(path)) from None
        try:
            with self._exclusive():
                pass
        except BaseException:
            self.close()
            raise

    def record(self, kind: type[_L], **fields: object) -> _L:
        """Sign a line of this kind, wait until it is on disk, and return it.

        The journal sets evaluator, index, chain and moment. Raises ``bad_message`` for a field that
        does not fit, ``disk_full``, ``journal_broken``.
        """
        with self._exclusive():
            moment = self._clock().astimezone(UTC)
            entry = sign_entry(
                self._signing_key,
                kind,
                evaluator=self._evaluator,
                index=self._head.index + 1,
                previous=self._head.hash,
                moment=moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                **fields,
            )
            line = to_line(entry)
            try:
                appending.append(self._descriptor, line, durable=True)
            except OSError as problem:
                raise appending.failure(problem, Code.JOURNAL_BROKEN, self._name) from None
            self._advance(entry.index, entry_hash(entry))
            self._end += len(line)
        return entry

    def tree_head(self) -> str:
        """Return the signed tree head over all lines, a C2SP note. Raises ``journal_broken``."""
        with self._exclusive():
            size = len(self._tree)
            head = TreeHead(origin(self._evaluator), size, self._tree.root())
        return sign_head(head, name=self._evaluator, private_key=self._signing_key)

    @property
    def head(self) -> Head:
        """Last line that this process has read."""
        return self._head

    def entries(self) -> tuple[LogLine, ...]:
        """Return all lines, oldest first."""
        with self._exclusive():
            return self._parse(appending.read_from(self._descriptor, 0))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with self._lock, appending.locked(self._descriptor):
            self._catch_up()
            yield

    def _catch_up(self) -> None:
        """Verify the lines that were appended since the last call; cut an incomplete last line."""
        size = os.fstat(self._descriptor).st_size
        if size < self._end:
            raise error(Code.JOURNAL_BROKEN, f"{self._name} is shorter than it was")
        if size == self._end:
            return
        tail = appending.read_from(self._descriptor, self._end)
        complete = tail[: tail.rfind(b"\n") + 1]
        entries = self._parse(complete)
        if any(entry.evaluator != self._evaluator for entry in entries):
            raise error(Code.JOURNAL_BROKEN, f"{self._name} is another evaluator's")
        verify_chain(
            entries,
            self._public_hex,
            after_index=self._head.index,
            after_hash=self._head.hash,
        )
        for entry in entries:
            self._advance(entry.index, entry_hash(entry))
        self._end += len(complete)
        if len(complete) < len(tail):
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)

    def _advance(self, index: int, line_hash: Hex32) -> None:
        self._head = Head(index, line_hash)
        self._tree.append(bytes.fromhex(line_hash))

    def _parse(self, lines: bytes) -> tuple[LogLine, ...]:
        entries: list[LogLine] = []
        for number, line in enumerate(lines.splitlines(keepends=True), start=1):
            broken = error(Code.JOURNAL_BROKEN, f"{self._name} line {number}")
            try:
                entry = read_line(msgspec.json.decode(line))
            except (ValueError, RecursionError, EvaluatorError):
                raise broken from None
            if to_line(entry) != line:  # it is not canonical
                raise broken
            entries.append(entry)
        return tuple(entries)
