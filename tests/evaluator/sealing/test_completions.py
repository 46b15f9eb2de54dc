"""Completions: what was appended is read back, per run, and nothing of it shows in the file."""

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.contract import Outcome
from evaluator.errors import Code, EvaluatorError
from evaluator.sealing import completions, formats
from evaluator.sealing.completions import CompletionStore, StoredCompletion
from tests.evaluator.sealing.conftest import RUN
from tests.leaks.canaries import plant
from tests.leaks.scanner import Scanner

KEY = bytes(range(32))
OTHER_RUN = RUN[:-1] + "3"
TEXTS = st.lists(
    st.tuples(
        st.sampled_from(["twin", "open"]),
        st.integers(0, 10**6),
        st.sampled_from(Outcome),
        st.text(max_size=80),
    ),
    max_size=8,
)


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, answers: list[tuple[str, int, Outcome, str]]
) -> None:
    folder = tmp_path_factory.mktemp("completions")
    for answer in answers:
        CompletionStore(folder, KEY).append(RUN, *answer)
    assert CompletionStore(folder, KEY).read(RUN) == tuple(
        StoredCompletion(*answer) for answer in answers
    )


def test_half_a_surrogate_pair_is_stored(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path, KEY)
    store.append(RUN, "twin", 1, Outcome.RIGHT, "a\ud800b\x00\u2028\n")
    assert store.read(RUN)[0].text == "a\ud800b\x00\u2028\n"


def test_nothing_shows(tmp_path: Path) -> None:
    planted, store = plant(5, seed=9), CompletionStore(tmp_path, KEY)
    for index, canary in enumerate(planted.canaries):
        store.append(
            RUN, "twin", index, Outcome.WRONG, f"Let us see: {canary.text}. #### 5", durable=True
        )
    scanner = Scanner(planted.canaries)
    assert scanner.scan_tree(tmp_path) == [] and scanner.surfaces == 1
    assert scanner.scan_bytes(repr(store.read(RUN)).encode()) == []
    assert (tmp_path / f"{RUN}.sealed").stat().st_mode & 0o077 == 0


def test_runs_have_keys_of_their_own(tmp_path: Path) -> None:
    store = CompletionStore(tmp_path, KEY)
    store.append(RUN, "twin", 1, Outcome.RIGHT, "text")
    (tmp_path / f"{RUN}.sealed").rename(tmp_path / f"{OTHER_RUN}.sealed")
    for reader, run in ((store, OTHER_RUN), (CompletionStore(tmp_path, bytes(32)), OTHER_RUN)):
        with pytest.raises(EvaluatorError) as caught:
            reader.read(run)
        assert caught.value.code is Code.SEAL_BROKEN
    assert store.read(RUN) == ()


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    store, file = CompletionStore(tmp_path, KEY), tmp_path / f"{RUN}.sealed"
    for index in range(2):
        store.append(RUN, "twin", index, Outcome.WRONG, "text")
    original = file.read_bytes()
    for place in range(len(original) - 1):
        changed = bytearray(original)
        changed[place] ^= 1 + place % 255
        file.write_bytes(changed)
        with pytest.raises(EvaluatorError) as caught:
            store.read(RUN)
        assert caught.value.code is Code.SEAL_BROKEN


def test_a_torn_line_is_left_out_and_cut_before_the_next(tmp_path: Path) -> None:
    file = tmp_path / f"{RUN}.sealed"
    for index in range(2):
        CompletionStore(tmp_path, KEY).append(RUN, "twin", index, Outcome.WRONG, "text")
    file.write_bytes(file.read_bytes()[:-5])
    assert len(CompletionStore(tmp_path, KEY).read(RUN)) == 1
    CompletionStore(tmp_path, KEY).append(RUN, "twin", 7, Outcome.WRONG, "text")
    assert [answer.index for answer in CompletionStore(tmp_path, KEY).read(RUN)] == [0, 7]


@pytest.mark.parametrize("run", ["", "../x", RUN + "/..", RUN.replace("1", "A", 1)])
def test_a_run_is_no_path(tmp_path: Path, run: str) -> None:
    store = CompletionStore(tmp_path, KEY)
    for use in (
        lambda: store.append(run, "twin", 1, Outcome.WRONG, "text"),
        lambda: store.read(run),
    ):
        with pytest.raises(EvaluatorError) as caught:
            use()
        assert caught.value.code is Code.BAD_MESSAGE


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CompletionStore(tmp_path, KEY)
    store.append(RUN, "twin", 1, Outcome.RIGHT, "text")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(EvaluatorError) as caught:
            store.append(RUN, "twin", 2, Outcome.WRONG, "text")
    assert caught.value.code is Code.DISK_FULL
    assert len(store.read(RUN)) == 1


def test_what_was_asked_is_stored_and_lines_of_before_there_was_a_mark_are_read(
    tmp_path: Path,
) -> None:
    store = CompletionStore(tmp_path, KEY)
    store.append(RUN, "twin", 1, Outcome.RIGHT, "seven", asked="ab" * 8)
    cipher, nonce = store._cipher(RUN), bytes(12)
    sealed = cipher.encrypt(
        nonce, json.dumps(["twin", 2, int(Outcome.WRONG), "eight"]).encode(), None
    )
    line = completions._Line(nonce=nonce.hex(), ciphertext=base64.b64encode(sealed).decode())
    with (tmp_path / f"{RUN}.sealed").open("ab") as file:
        file.write(formats.to_line(line))
    assert [(one.index, one.asked) for one in store.read(RUN)] == [(1, "ab" * 8), (2, "")]
