"""Completions of sealed items, encrypted per run and stored by the evaluator that asked them."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
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

OtherGrades = Mapping[str, tuple[str, Outcome]]
"""Extracted answer and outcome by the name of another grader."""


@dataclass(frozen=True, slots=True)
class StoredCompletion:
    """Completion of an item, with its grade. ``text`` is not in ``repr``.

    - ``asked``: digest of the question and its recipient; empty in files that are older than it.
    - ``sample``: number of one answer of several. None for a single answer, and for the vote on
      several, which has no text.
    - ``tokens``: tokens of the prompt and of the answer.
    - ``cut``: True if the token limit ended the answer; None in files that are older than it.
    - ``other_grades``: grades of the answer by other graders.
    - ``reason``: reason for which an endpoint gave no answer; empty if it gave one.
    """

    set_name: str
    index: int
    outcome: Outcome
    text: str = field(repr=False)
    asked: str = ""
    sample: int | None = None
    tokens: tuple[int, int] = (0, 0)
    cut: bool | None = None
    other_grades: OtherGrades = field(default_factory=dict, repr=False, hash=False)
    reason: str = ""

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> "StoredCompletion":
        """Return the completion of a stored line's values; later ones may be missing."""
        whole = [*values, *_LATER_DEFAULTS[len(values) - 4 :]]
        set_name, index, outcome, text, asked, sample, tokens, cut, grades, reason = whole
        other_grades = {}
        for grader, (extracted, graded) in grades.items():
            other_grades[grader] = (extracted, Outcome(graded))
        return cls(
            set_name=set_name,
            index=index,
            outcome=Outcome(outcome),
            text=text,
            asked=asked,
            sample=sample,
            tokens=(tokens[0], tokens[1]),
            cut=cut,
            other_grades=other_grades,
            reason=reason,
        )

    @property
    def was_cut(self) -> bool:
        """True if the token limit ended the answer, as far as is known."""
        if self.cut is None:
            return self.outcome is Outcome.TRUNCATED
        return self.cut


@dataclass(frozen=True, slots=True)
class StoredScore:
    """Verifier's score of one sample of an item, and the tokens that it read.

    ``asked`` is as of a completion. A ``value`` that is no number: the verifier computed none.
    """

    set_name: str
    index: int
    sample: int
    value: float
    tokens: int
    asked: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Outcome of an item, and its single answer or all of several, by number.

    ``scores`` are a verifier's of all of them, empty where there is none.
    """

    outcome: Outcome
    answers: tuple[StoredCompletion, ...]
    scores: tuple[float, ...] = ()

    def combined(self) -> StoredCompletion:
        """Return one answer; its text is a JSON list of all texts if there are several."""
        first = self.answers[0]
        if first.sample is None:
            return first
        text = json.dumps([answer.text for answer in self.answers])
        return replace(first, outcome=self.outcome, text=text, sample=None)


_SCORE = ""
"""First value of a line that holds a score: no set has this name."""
_LATER_DEFAULTS: list[Any] = ["", None, (0, 0), None, {}, ""]
"""Defaults of the fifth and each later value, for answers that were written before it existed."""


class _Line(Wire, frozen=True, kw_only=True):
    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{24}\Z")]
    ciphertext: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z")]


class CompletionStore:
    """Append-only files ``FOLDER/RUN.sealed``, each under a key derived from ``key`` and the run.

    ``key`` has 32 bytes.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self._folder = folder
        self._key = key
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
        other_grades: OtherGrades | None = None,
        reason: str = "",
        durable: bool = False,
    ) -> None:
        """Store an answer; ``durable`` waits for the disk.

        Raises ``disk_full``, ``out_unwritable``.
        """
        grades = dict(other_grades or {})
        values = [
            set_name,
            index,
            int(outcome),
            text,
            asked,
            sample,
            tokens,
            cut,
            grades,
            reason,
        ]
        self._append_values(run, values, durable=durable)

    def _append_values(
        self,
        run: str,
        values: Sequence[Any],
        *,
        durable: bool,
    ) -> None:
        path = self._path(run)
        nonce = os.urandom(formats.NONCE_BYTES)
        # ASCII JSON, since a model may write half of a surrogate pair, which UTF-8 cannot encode.
        plain = json.dumps(values).encode("ascii")
        sealed = self._cipher(run).encrypt(nonce, plain, None)
        encrypted = _Line(nonce=nonce.hex(), ciphertext=formats.to_base64(sealed))
        line = formats.to_line(encrypted)
        try:
            descriptor = appending.open_for_appending(path)
            try:
                if run not in self._mended:  # an earlier process may have crashed inside a line
                    content = appending.read_from(descriptor, 0)
                    os.ftruncate(descriptor, content.rfind(b"\n") + 1)
                    self._mended.add(run)
                appending.append(descriptor, line, durable=durable)
            finally:
                os.close(descriptor)
        except OSError as problem:
            raise appending.failure(problem, Code.OUT_UNWRITABLE, path.name) from None

    def append_score(self, run: str, score: StoredScore) -> None:
        """Store a verifier's score. Raises as ``append``."""
        self._append_values(run, [_SCORE, *astuple(score)], durable=False)

    def read(self, run: str) -> tuple[StoredCompletion, ...]:
        """Return all answers of a run, oldest first; an incomplete last line is ignored.

        Raises ``seal_broken``.
        """
        answers = [values for values in self._values(run) if values[0] != _SCORE]
        return tuple(StoredCompletion.from_values(values) for values in answers)

    def scores(self, run: str) -> tuple[StoredScore, ...]:
        """Return all scores of a run, oldest first. Raises ``seal_broken``."""
        scores: list[StoredScore] = []
        for values in self._values(run):
            if values[0] == _SCORE:
                _, *fields = values
                scores.append(StoredScore(*fields))
        return tuple(scores)

    def _values(self, run: str) -> Iterator[list[Any]]:
        """Yield the decrypted values of each complete line."""
        path = self._path(run)
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError:
            raise error(Code.SEAL_BROKEN, path.name) from None
        complete = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(complete.splitlines(keepends=True), start=1):
            broken = error(Code.SEAL_BROKEN, f"{path.name} line {number}")
            parsed = formats.from_line(_Line, line)
            ciphertext = formats.from_base64(parsed.ciphertext) if parsed else None
            if parsed is None or ciphertext is None:
                raise broken
            try:
                plain = self._cipher(run).decrypt(bytes.fromhex(parsed.nonce), ciphertext, None)
            except (InvalidTag, ValueError):
                raise broken from None
            yield json.loads(plain)

    def answered(
        self,
        run: str,
        set_name: str,
        *,
        asked: str = "",
    ) -> dict[int, Answered]:
        """Return the answers to each item of a set that has an outcome, by index.

        With ``asked``, only answers with this digest or without any; of two answers to an item, one
        with the digest is preferred. Raises ``seal_broken``.
        """
        outcomes: dict[int, StoredCompletion] = {}
        samples: dict[int, dict[int, StoredCompletion]] = {}
        for answer in self._answers_of(run, set_name, asked):
            if answer.sample is None:
                outcomes[answer.index] = answer
            else:
                samples.setdefault(answer.index, {})[answer.sample] = answer
        scores = self._scores_of(run, set_name, asked)
        result: dict[int, Answered] = {}
        for index, last in sorted(outcomes.items()):
            several = samples.get(index, {})
            numbers = sorted(several)
            every = [several[number] for number in numbers] or [last]
            sample_scores = [scores.get((index, number)) for number in numbers]
            known = [score for score in sample_scores if score is not None]
            if len(known) < len(every):
                known = []
            result[index] = Answered(last.outcome, tuple(every), tuple(known))
        return result

    def _answers_of(
        self,
        run: str,
        set_name: str,
        asked: str,
    ) -> list[StoredCompletion]:
        """Return the answers on a set, those with the digest last."""
        answers = [answer for answer in self.read(run) if answer.set_name == set_name]
        if asked:
            answers = [answer for answer in answers if answer.asked in ("", asked)]
            answers.sort(key=lambda answer: bool(answer.asked))
        return answers

    def _scores_of(
        self,
        run: str,
        set_name: str,
        asked: str,
    ) -> dict[tuple[int, int], float]:
        """Return the verifier's scores by index and number of the sample."""
        scores: dict[tuple[int, int], float] = {}
        for score in self.scores(run):
            of_set = score.set_name == set_name
            of_question = not asked or score.asked in ("", asked)
            if of_set and of_question:
                scores[score.index, score.sample] = score.value
        return scores

    def released(
        self,
        run: str,
        set_name: str,
    ) -> tuple[tuple[bytes, StoredCompletion], ...]:
        """Return the last answer to each item of a set with its salt, by index.

        The text of several answers is a JSON list, by number; the outcome is that of the vote.
        Raises ``seal_broken``.
        """
        released: list[tuple[bytes, StoredCompletion]] = []
        for index, item in self.answered(run, set_name).items():
            salt = self._salt(run, set_name, index)
            released.append((salt, item.combined()))
        return tuple(released)

    def closed(self, run: str, set_name: str) -> tuple[Closed, ...]:
        """Return the salted hash of each item's last answer, for the closing of a run on a set.

        Raises ``seal_broken``.
        """
        closed: list[Closed] = []
        for index, item in self.answered(run, set_name).items():
            salt = self._salt(run, set_name, index)
            completion = completion_hash(salt, item.combined().text)
            right = sum(answer.outcome is Outcome.RIGHT for answer in item.answers)
            samples = len(item.answers)
            item_closed = Closed(
                index=index,
                completion=completion,
                outcome=item.outcome,
                samples=samples,
                samples_right=right,
            )
            closed.append(item_closed)
        return tuple(closed)

    def _salt(self, run: str, set_name: str, index: int) -> bytes:
        about = {
            "domain": "holdfast/completion-salt/v1",
            "run": run,
            "set": set_name,
            "index": index,
        }
        info = canonical_json(about)
        return HKDFExpand(SHA256(), formats.SALT_BYTES, info).derive(self._key)

    def _path(self, run: str) -> Path:
        try:
            return self._folder / f"{msgspec.convert(run, RunId)}.sealed"
        except msgspec.ValidationError:
            raise error(Code.BAD_MESSAGE, "run") from None

    def _cipher(self, run: str) -> AESGCM:
        info = canonical_json({"domain": "holdfast/completions/v1", "run": run})
        key = HKDFExpand(SHA256(), formats.KEY_BYTES, info).derive(self._key)
        return AESGCM(key)
