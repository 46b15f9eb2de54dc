"""The journal: what it acknowledged is on disk and verifies, whatever happened to the process or the disk."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.contract import Exposure, pack_bits, unpack_bits
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS, entry_hash, verify_chain
from evaluator.sealing.exposure import Journal
from tests.evaluator.sealing.conftest import RUN

KEY = signatures.generate()
PUBLIC = signatures.public_hex(KEY)


def opened(path: Path) -> "closing[Journal]":
    return closing(Journal(path, "host-a", KEY))


def line(journal: Journal, *indices: int, **changed: Any) -> Exposure:
    marked = changed.pop("indices", indices or (1, 2))
    usual: dict[str, Any] = {
        "run": RUN,
        "token": 1,
        "set": "twin",
        "root": "ab" * 32,
        "recipient": "jail",
    }
    usual |= {"tier": "T0", "items": pack_bits(marked, 50), "count": len(marked)}
    return journal.record(Exposure, **{**usual, **changed})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


@pytest.fixture
def recorded(path: Path) -> list[Exposure]:
    """Three lines on disk."""
    with opened(path) as journal:
        return [line(journal, number) for number in range(3)]


def broken(path: Path) -> None:
    with pytest.raises(EvaluatorError) as caught:
        Journal(path, "host-a", KEY)
    assert caught.value.code is Code.JOURNAL_BROKEN


def test_lines_are_chained_over_restarts(path: Path, recorded: list[Exposure]) -> None:
    with opened(path) as journal:
        last = line(journal, 7, 9)
        assert journal.entries() == (*recorded, last)
        assert journal.head == verify_chain([*recorded, last], PUBLIC)
    assert (
        recorded[0].previous == GENESIS
        and last.previous == entry_hash(recorded[2])
        and last.index == 3
    )
    assert unpack_bits(last.items, 50) == {7, 9} and last.count == 2
    assert path.stat().st_mode & 0o077 == 0


def test_the_time_is_the_clocks_in_utc(path: Path) -> None:
    clock = datetime(2026, 1, 2, 5, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    with closing(Journal(path, "host-a", KEY, clock=lambda: clock)) as journal:
        assert line(journal).moment == "2026-01-02T03:04:05.000006Z"
    assert clock.astimezone(UTC).hour == 3


@pytest.mark.parametrize("torn", [b"{", b'{"count":2,"eval', b"\x00" * 30])
def test_a_torn_last_line_is_cut(path: Path, recorded: list[Exposure], torn: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with opened(path) as journal:
        assert path.read_bytes() == whole
        assert line(journal).index == 3
    with opened(path) as journal:
        assert len(journal.entries()) == 4


def test_every_cut_of_the_last_line_is_mended(path: Path, recorded: list[Exposure]) -> None:
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for end in (start, start + 1, *range(start + 2, len(whole) - 1, 40), len(whole) - 1):
        path.write_bytes(whole[:end])
        with opened(path) as journal:
            assert journal.head.index == 1
        assert path.read_bytes() == whole[:start]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_other_change_is_fatal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with opened(path) as journal:
        for number in range(3):
            line(journal, number)
    changed = bytearray(path.read_bytes())
    place = data.draw(
        st.integers(0, len(changed) - 2)
    )  # without the last line's end, the line is a torn one
    changed[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    broken(path)
    assert path.read_bytes() == changed, (
        "a journal that does not verify is evidence: it is not touched"
    )


def test_lines_cannot_be_dropped_swapped_or_doubled(path: Path, recorded: list[Exposure]) -> None:
    first, second, third = path.read_bytes().splitlines(keepends=True)
    for lines in (
        [second, third],
        [first, third],
        [second, first, third],
        [first, first, second, third],
    ):
        path.write_bytes(b"".join(lines))
        broken(path)


def test_another_evaluators_journal_is_refused(path: Path, recorded: list[Exposure]) -> None:
    with pytest.raises(EvaluatorError) as caught:
        Journal(path, "host-b", KEY)
    assert caught.value.code is Code.JOURNAL_BROKEN
    with pytest.raises(EvaluatorError) as caught:
        Journal(path, "host-a", signatures.generate())
    assert caught.value.code is Code.JOURNAL_BROKEN


def test_a_journal_that_shrinks_while_open_is_refused(path: Path, recorded: list[Exposure]) -> None:
    with opened(path) as journal:
        path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
        with pytest.raises(EvaluatorError) as caught:
            line(journal)
        assert caught.value.code is Code.JOURNAL_BROKEN


@pytest.mark.parametrize(
    "changed",
    [
        {"indices": [50]},
        {"indices": [-1]},
        {"run": "x"},
        {"recipient": "A B"},
        {"token": 0},
        {"tier": "T7"},
    ],
)
def test_what_does_not_fit_is_not_written(
    path: Path, recorded: list[Exposure], changed: dict[str, Any]
) -> None:
    before = path.read_bytes()
    with opened(path) as journal:
        with pytest.raises(EvaluatorError) as caught:
            line(journal, **changed)
        assert caught.value.code is Code.BAD_MESSAGE
        assert path.read_bytes() == before
        assert line(journal).index == 3


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_keeps_the_journal_whole(
    path: Path, recorded: list[Exposure], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write = path.read_bytes(), os.write
    with opened(path) as journal:
        with monkeypatch.context() as patched:
            calls: list[int] = []

            def failing(descriptor: int, data: bytes = b"") -> int:
                calls.append(descriptor)
                if step == "write" and len(calls) == 1:
                    return write(descriptor, bytes(data)[:40])  # a short write, then nothing more
                raise OSError(errno.ENOSPC, "No space left on device")

            patched.setattr(os, step, failing)
            with pytest.raises(EvaluatorError) as caught:
                line(journal)
        assert caught.value.code is Code.DISK_FULL
        assert path.read_bytes() == before
        assert line(journal).index == 3
        assert len(journal.entries()) == 4


def test_a_short_write_is_completed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with opened(path) as journal:
        monkeypatch.setattr(
            os, "write", lambda descriptor, data: write(descriptor, bytes(data)[:7])
        )
        line(journal)
        assert len(journal.entries()) == 1


WRITER = f"""
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from evaluator.contract import Exposure, pack_bits
from evaluator.sealing.exposure import Journal
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[2]))
journal = Journal(Path(sys.argv[1]), "host-a", key)
for number in range(int(sys.argv[3])):
    entry = journal.record(Exposure, run="{RUN}", token=1, set="twin", root="ab" * 32, recipient="jail", tier="T0",
                           items=pack_bits([number % 50], 50), count=1)
    print(entry.index, flush=True)
"""


def writer(path: Path, lines: int) -> "subprocess.Popen[str]":
    secret = KEY.private_bytes_raw().hex()
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), secret, str(lines)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_share_one_chain(path: Path) -> None:
    with writer(path, 60) as one, writer(path, 60) as two:
        out = [process.communicate(timeout=60)[0] for process in (one, two)]
    assert sorted(int(index) for text in out for index in text.split()) == list(range(120))
    with opened(path) as journal:
        assert journal.head.index == 119


def test_threads_share_one_chain(path: Path) -> None:
    with opened(path) as journal:
        threads = [
            threading.Thread(target=lambda: [line(journal) for _ in range(20)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [entry.index for entry in journal.entries()] == list(range(80))


def test_a_killed_process_loses_no_line_that_it_acknowledged(path: Path) -> None:
    for seconds in (0.0, 0.01, 0.03):
        with writer(path, 100_000) as process:
            assert process.stdout
            acknowledged = int(process.stdout.readline())
            time.sleep(seconds)
            process.kill()
            acknowledged = max(
                [acknowledged, *(int(number) for number in process.stdout.read().split("\n")[:-1])]
            )
        with opened(path) as journal:
            assert journal.head.index >= acknowledged


def test_the_file_is_plain_json_lines(path: Path, recorded: list[Exposure]) -> None:
    assert [json.loads(text) for text in path.read_text().splitlines()] == [
        entry.to_dict() for entry in recorded
    ]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EvaluatorError) as caught:
        Journal(tmp_path / "file" / "journal.jsonl", "host-a", KEY)
    assert caught.value.code is Code.OUT_UNWRITABLE
