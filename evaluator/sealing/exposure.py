"""The exposure journal: who was about to see which sealed items, on disk before the first byte is decrypted.

One file of signed, chained lines per evaluator (``evaluator.ledger.entries``). Several processes of one
evaluator may share it: each takes the file's lock to write, and first reads what the others wrote.
"""

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.contract import Exposure, Tier, pack_bits
from evaluator.errors import Code, error
from evaluator.ledger import signatures
from evaluator.ledger.entries import Head, entry_hash, sign_entry, verify_chain
from evaluator.sealing import appending
from evaluator.sealing.formats import from_line, to_line


def _now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """An evaluator's journal at ``path``, verified when opened.

    A last line without its end is what a crash left: nothing was decrypted for it, so it is cut off. Any
    other line that does not verify raises ``journal_broken``. ``clock`` gives the time of new lines.
    """

    def __init__(
        self, path: Path, evaluator: str, signing_key: Ed25519PrivateKey, *, clock: Callable[[], datetime] = _now
    ) -> None:
        self._evaluator, self._signing_key, self._clock = evaluator, signing_key, clock
        self._public_hex = signatures.public_hex(signing_key)
        self._head, self._end = Head(), 0
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

    def record(
        self,
        *,
        run: str,
        token: int,
        set_name: str,
        root: str,
        recipient: str,
        tier: Tier,
        indices: Collection[int],
        n: int,
    ) -> Exposure:
        """Sign a line for these items of a set of ``n`` and wait until it is on disk; then return it.

        Raises ``bad_message`` for a field that does not fit, ``disk_full``, ``journal_broken``.
        """
        with self._exclusive():
            entry = sign_entry(
                self._signing_key,
                evaluator=self._evaluator,
                index=self._head.index + 1,
                previous=self._head.hash,
                moment=self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                run=run,
                token=token,
                set=set_name,
                root=root,
                recipient=recipient,
                tier=tier,
                items=pack_bits(indices, n),
                count=len(set(indices)),
            )
            line = to_line(entry)
            try:
                appending.append(self._descriptor, line, durable=True)
            except OSError as problem:
                raise appending.failure(problem, Code.JOURNAL_BROKEN, self._name) from None
            self._head, self._end = Head(entry.index, entry_hash(entry)), self._end + len(line)
        return entry

    @property
    def head(self) -> Head:
        """The last line this process knows of."""
        return self._head

    def entries(self) -> tuple[Exposure, ...]:
        """All lines, oldest first, for showing or shipping again."""
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
        """Verify what was appended since the last look, and cut a torn end."""
        size = os.fstat(self._descriptor).st_size
        if size < self._end:
            raise error(Code.JOURNAL_BROKEN, f"{self._name} is shorter than it was")
        if size == self._end:
            return
        tail = appending.read_from(self._descriptor, self._end)
        whole = tail[: tail.rfind(b"\n") + 1]
        entries = self._parse(whole)
        if any(entry.evaluator != self._evaluator for entry in entries):
            raise error(Code.JOURNAL_BROKEN, f"{self._name} is another evaluator's")
        self._head = verify_chain(entries, self._public_hex, after_index=self._head.index, after_hash=self._head.hash)
        self._end += len(whole)
        if len(whole) < len(tail):
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)

    def _parse(self, lines: bytes) -> tuple[Exposure, ...]:
        found = [from_line(Exposure, line) for line in lines.splitlines(keepends=True)]
        entries = tuple(entry for entry in found if entry is not None)
        if len(entries) != len(found):
            raise error(Code.JOURNAL_BROKEN, f"{self._name} line {found.index(None) + 1}")
        return entries
