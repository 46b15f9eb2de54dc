"""What models answered to sealed items: kept by the evaluator that asked, encrypted per run."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec import Meta

from evaluator.contract import Outcome, RunId, Wire, canonical_json
from evaluator.errors import Code, error
from evaluator.ledger.closings import Closed, completion_hash
from evaluator.sealing import appending, formats

Beside = Mapping[str, tuple[str, Outcome]]


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """One answer and what it was graded. ``text`` does not show in ``repr``.

    ``asked`` is a mark of what was asked of whom; empty in files of before there was one. ``sample`` is the number of
    one answer of several; None for the only one, and for the vote on several, which has no text of its own.
    ``tokens`` are those of the prompt and of the answer, as they were counted. ``cut`` says whether the token limit
    ended it; None where that was not written down. ``beside`` is what the other graders read, and their outcomes.
    ``reason`` is why an endpoint gave none; empty where it gave one.
    """

    set_name: str
    index: int
    outcome: Outcome
    text: str = field(repr=False)
    asked: str = ""
    sample: int | None = None
    tokens: tuple[int, int] = (0, 0)
    cut: bool | None = None
    beside: Beside = field(default_factory=dict, repr=False, hash=False)
    reason: str = ""

    @property
    def was_cut(self) -> bool:
        """Whether the token limit ended it, as far as that is known: whatever was truncated was cut."""
        return self.outcome is Outcome.TRUNCATED if self.cut is None else self.cut


@dataclass(frozen=True, slots=True)
class Answered:
    """An item's outcome, and its only answer or all of several, by number."""

    outcome: Outcome
    answers: tuple[StoredCompletion, ...]

    def as_one(self) -> StoredCompletion:
        """One answer whose text holds all, as JSON where they are several."""
        first = self.answers[0]
        if first.sample is None:
            return first
        text = json.dumps([answer.text for answer in self.answers])
        return replace(first, outcome=self.outcome, text=text, sample=None)


_LATER: list[Any] = ["", None, (0, 0), None, {}, ""]
"""What the fifth and each later value of an answer are where it was written before there were any."""


class _Line(Wire, frozen=True, kw_only=True):
    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{24}\Z")]
    ciphertext: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z")]


class CompletionStore:
    """Append-only files ``FOLDER/RUN.sealed``, each under a key derived from ``key`` (32 bytes) and the run."""

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder, self._key = folder, key
        self._mended: set[str] = set()

    def append(
        self,
        run: str,
        set_name: str,
        index: int,
        outcome: Outcome,
        text: str,
        *,
        asked: str = "",
        sample: int | None = None,
        tokens: tuple[int, int] = (0, 0),
        cut: bool | None = None,
        beside: Beside | None = None,
        reason: str = "",
        durable: bool = False,
    ) -> None:
        """Keep one answer. ``durable`` waits for the disk. Raises ``disk_full``, ``out_unwritable``."""
        path = self._path(run)
        nonce = os.urandom(formats.NONCE_BYTES)
        # ASCII JSON, since a model may write half of a surrogate pair, which UTF-8 cannot hold.
        held = [
            set_name,
            index,
            int(outcome),
            text,
            asked,
            sample,
            tokens,
            cut,
            dict(beside or {}),
            reason,
        ]
        plain = json.dumps(held).encode("ascii")
        sealed = self._cipher(run).encrypt(nonce, plain, None)
        line = formats.to_line(_Line(nonce=nonce.hex(), ciphertext=formats.to_base64(sealed)))
        try:
            self._append(path, run, line, durable=durable)
        except OSError as problem:
            raise appending.failure(problem, Code.OUT_UNWRITABLE, path.name) from None

    def read(self, run: str) -> tuple[StoredCompletion, ...]:
        """All answers kept of a run, oldest first; a torn last line is left out. Raises ``seal_broken``."""
        path = self._path(run)
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError:
            raise error(Code.SEAL_BROKEN, path.name) from None
        whole = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        answers = [self._open(run, line) for line in whole]
        known = tuple(answer for answer in answers if answer is not None)
        if len(known) != len(answers):
            raise error(Code.SEAL_BROKEN, f"{path.name} line {answers.index(None) + 1}")
        return known

    def answered(self, run: str, set_name: str, *, asked: str = "") -> dict[int, Answered]:
        """What is kept of each item of a set that has an outcome, by index. Raises ``seal_broken``.

        With a mark ``asked``, only answers that have it or none; and of two to one item the one that has it.
        """
        answers = [answer for answer in self.read(run) if answer.set_name == set_name]
        if asked:
            answers = sorted(
                (one for one in answers if one.asked in ("", asked)),
                key=lambda one: bool(one.asked),
            )
        last = {answer.index: answer for answer in answers if answer.sample is None}
        samples: dict[int, dict[int, StoredCompletion]] = {}
        for answer in answers:
            if answer.sample is not None:
                samples.setdefault(answer.index, {})[answer.sample] = answer
        every = {
            index: [one for _, one in sorted(several.items())] for index, several in samples.items()
        }
        return {i: Answered(last[i].outcome, tuple(every.get(i, [last[i]]))) for i in sorted(last)}

    def released(self, run: str, set_name: str) -> tuple[tuple[bytes, StoredCompletion], ...]:
        """The last answer to each item of a set with its salt, by index. Raises ``seal_broken``.

        Where several were asked, the text is theirs: a JSON list, by number; the outcome is the vote's.
        """
        kept = self.answered(run, set_name)
        return tuple((self._salt(run, set_name, index), kept[index].as_one()) for index in kept)

    def closed(self, run: str, set_name: str) -> tuple[Closed, ...]:
        """What is committed to of a run on a set: of each item the salted hash of its last answer. As above."""
        return tuple(
            Closed(answer.index, completion_hash(salt, answer.text), answer.outcome)
            for salt, answer in self.released(run, set_name)
        )

    def _salt(self, run: str, set_name: str, index: int) -> bytes:
        info = canonical_json(
            {"domain": "holdfast/completion-salt/v1", "run": run, "set": set_name, "index": index}
        )
        return HKDFExpand(SHA256(), formats.SALT_BYTES, info).derive(self._key)

    def _path(self, run: str) -> Path:
        try:
            return self._folder / f"{msgspec.convert(run, RunId)}.sealed"
        except msgspec.ValidationError:
            raise error(Code.BAD_MESSAGE, "run") from None

    def _cipher(self, run: str) -> AESGCM:
        info = canonical_json({"domain": "holdfast/completions/v1", "run": run})
        return AESGCM(HKDFExpand(SHA256(), formats.KEY_BYTES, info).derive(self._key))

    def _append(self, path: Path, run: str, line: bytes, *, durable: bool) -> None:
        descriptor = appending.open_for_appending(path)
        try:
            if run not in self._mended:  # what a crash of an earlier process left
                content = appending.read_from(descriptor, 0)
                os.ftruncate(descriptor, content.rfind(b"\n") + 1)
                self._mended.add(run)
            appending.append(descriptor, line, durable=durable)
        finally:
            os.close(descriptor)

    def _open(self, run: str, line: bytes) -> StoredCompletion | None:
        parsed = formats.from_line(_Line, line)
        ciphertext = formats.from_base64(parsed.ciphertext) if parsed else None
        if parsed is None or ciphertext is None:
            return None
        try:
            plain = self._cipher(run).decrypt(bytes.fromhex(parsed.nonce), ciphertext, None)
        except (InvalidTag, ValueError):
            return None
        held: list[Any] = json.loads(plain)
        held += _LATER[len(held) - 4 :]
        set_name, index, outcome, text, asked, sample, tokens, cut, others, reason = held
        beside = {grader: (answer, Outcome(other)) for grader, (answer, other) in others.items()}
        counts = (tokens[0], tokens[1])
        return StoredCompletion(
            set_name, index, Outcome(outcome), text, asked, sample, counts, cut, beside, reason
        )
