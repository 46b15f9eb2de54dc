"""Run in a process of its own: is the journal's line on disk before the first byte is decrypted?

Prints ``in order`` and exits 0, or prints what came too early and exits 1. ``sys.path`` decides which build is
asked, so that the same probe judges broken ones (see test_order.py).
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from evaluator.items import Item
from evaluator.sealing import formats, keys
from evaluator.sealing import open as opening
from evaluator.sealing.allocation import Shares
from evaluator.sealing.exposure import Journal
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.seal import seal_set, write_set
from evaluator.sealing.vault import Vault

EVENTS: list[str] = []
FOLDER = Path(sys.argv[1])
JOURNAL = FOLDER / "journal.jsonl"


def is_journal(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").resolve() == JOURNAL.resolve()


def watch_disk() -> None:
    write, fsync = os.write, os.fsync

    def watched_write(descriptor: int, data: bytes) -> int:
        if is_journal(descriptor):
            EVENTS.append("write")
        return write(descriptor, data)

    def watched_fsync(descriptor: int) -> None:
        fsync(descriptor)
        if is_journal(descriptor):
            EVENTS.append("fsync")

    os.write, os.fsync = watched_write, watched_fsync


class WatchedSuite:
    """HPKE: unwraps the set's key."""

    def __init__(self, suite: object) -> None:
        self.encrypt, self._decrypt = suite.encrypt, suite.decrypt

    def decrypt(self, *args: object, **kwargs: object) -> bytes:
        EVENTS.append("decrypt key")
        return self._decrypt(*args, **kwargs)


class WatchedCipher:
    """AES-256-GCM: decrypts an item."""

    kind = opening.AESGCM

    def __init__(self, key: bytes) -> None:
        self._cipher = self.kind(key)

    def decrypt(self, *args: bytes) -> bytes:
        EVENTS.append("decrypt item")
        return self._cipher.decrypt(*args)


def main() -> int:
    identity = keys.generate_keys(FOLDER / "keys", name="host-a")
    host = keys.load_keys(FOLDER / "keys")
    items = [Item(f"question {number}", str(number), str(number)) for number in range(5)]
    sealed = seal_set(
        items, name="twin", hosts=[identity], created=datetime.now(UTC), shares=Shares(cell=1)
    )
    write_set(sealed, FOLDER / "twin")
    vault = Vault(
        host, {"twin": FOLDER / "twin"}.get, Journal(JOURNAL, "host-a", host.report), Recipients()
    )
    vault.facts("twin")
    formats.SUITE, opening.AESGCM = WatchedSuite(formats.SUITE), WatchedCipher
    watch_disk()
    for indices in ([0, 1], [2]):
        EVENTS.clear()
        revealed = vault.reveal(
            "twin", indices, to="jail", run="12345678-1234-1234-1234-123456789012", token=1
        )
        assert len(set(revealed.items) & set(items)) == len(indices)
        expected = ["write", "fsync", "decrypt key", *["decrypt item"] * len(indices)]
        if expected != EVENTS:
            print(EVENTS)
            return 1
    print("in order")
    return 0


if __name__ == "__main__":
    sys.exit(main())
