"""Folder of a run made at a terminal: its identity and its outcomes so far.

- ``run.json`` identifies the run. Another model, set, protocol or shot pool is refused, so that
  outcomes of two runs never mix.
- ``outcomes.jsonl`` grows line by line as answers arrive, so that a kill loses none, and is forced
  to disk about once a second. A line torn by a full disk or a power cut is cut off and its item
  asked again. Where several samples of an item are asked, each has a line with its number, and
  their majority a line without one.
- ``graders.json`` has the counts of the same completions by every published grader.
- ``votes.json`` aggregates several samples over the whole set.
- ``record.json`` has the facts that affect the score besides the model.
- ``scores.jsonl`` has a system's verifier's scores, line by line as its candidates' answers;
  ``candidates.json`` has accuracies by their number, ``parts.json`` the tokens and seconds of both.
- ``likelihood.json`` has the set's log-likelihood under weights that were to read it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from math import isfinite, nan
from pathlib import Path
from statistics import fmean
from types import TracebackType
from typing import Annotated

import msgspec
from msgspec import Meta

from evaluator import grading
from evaluator.backends import Score, Usage
from evaluator.cli.linefile import LineFile
from evaluator.contract import (
    Candidates,
    Outcome,
    Part,
    Record,
    SetLikelihood,
    Votes,
    canonical_json,
)
from evaluator.errors import Code, EvaluatorError, error
from evaluator.grading import Grade, ballots, candidates, voting
from evaluator.grading.ballots import Vote
from evaluator.grading.candidates import Candidate
from evaluator.items import Item
from evaluator.pipeline.ask import Result
from evaluator.pipeline.disk import disk_errors, write_durably
from evaluator.protocols import Protocol


class Line(msgspec.Struct, frozen=True):
    """Line of ``outcomes.jsonl``. The set is public, and so may its completions be."""

    index: int
    outcome: str
    extracted: str
    completion: str
    cut: bool = False
    tokens_in: int | None = None
    tokens_out: int | None = None
    sample: int | None = None
    reason: str = ""

    @classmethod
    def of_result(cls, result: Result) -> "Line":
        """Return the line of one answer, or of a majority."""
        completion = result.completion
        usage = completion.usage
        return cls(
            index=result.index,
            outcome=result.outcome.name.lower(),
            extracted=result.extracted,
            completion=completion.text.encode("utf-8", "replace").decode(),
            cut=completion.cut,
            tokens_in=usage.tokens_in if usage else None,
            tokens_out=usage.tokens_out if usage else None,
            sample=result.sample,
            reason=completion.reason or "",
        )

    @property
    def vote(self) -> Vote:
        """Answer and its outcome."""
        return Vote(self.extracted, Outcome[self.outcome.upper()])

    @property
    def usage(self) -> Usage | None:
        """Tokens of the answer; None where the model server did not count them."""
        if self.tokens_in is None or self.tokens_out is None:
            return None
        return Usage(self.tokens_in, self.tokens_out)


class ScoreLine(msgspec.Struct, frozen=True):
    """Line of ``scores.jsonl``. A score of None is no number."""

    index: Annotated[int, Meta(ge=0)]
    sample: Annotated[int, Meta(ge=0)]
    score: float | None
    tokens: Annotated[int, Meta(ge=0)] = 0


Key = tuple[int, int | None]
"""Index of an item and number of its sample; None for its only answer, or for a majority."""


class OutFolder:
    """Outcomes stored at ``folder`` for the run of this ``identity``, of ``n`` items at most.

    Open it with ``with``: one process at a time writes there. Raises ``disk_full``,
    ``out_unwritable`` and ``out_of_another_run``.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, str],
        *,
        n: int,
    ) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.spent: dict[Key, Usage | None] = {}
        self.samples: dict[int, dict[int, Vote]] = {}
        self._grades: dict[Key, Mapping[str, Grade]] = {}
        self._folder = folder
        self._identity = dict(identity)
        self.reasons: dict[Key, str] = {}
        self.scores: dict[int, dict[int, float]] = {}
        self.tokens_scored = 0
        self._n = n
        self._files = ExitStack()
        self._outcomes: LineFile
        self._scores: LineFile

    def __enter__(self) -> "OutFolder":
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            self._outcomes = self._open("outcomes.jsonl", opened)
            self._outcomes.lock()
            path = self._folder / "run.json"
            identity = canonical_json(self._identity) + b"\n"
            if path.exists():
                with disk_errors(path):
                    stored = path.read_bytes()
                if stored != identity:
                    raise error(Code.OUT_OF_ANOTHER_RUN, str(self._folder))
            else:
                write_durably(path, identity)
            self._outcomes.mend()
            for line in self._lines():
                self._add(line)
            if "verifier" in self._identity:
                self._scores = self._open("scores.jsonl", opened)
                self._scores.mend()
                for text in self._scores.lines():
                    # A score that is damaged is scored again.
                    with suppress(msgspec.DecodeError, UnicodeError):
                        score = msgspec.json.decode(text, type=ScoreLine)
                        asked = self.samples.get(score.index, {})
                        if score.sample in asked:
                            self._add_score(score)
            self._files = opened.pop_all()
        return self

    def _open(self, name: str, opened: ExitStack) -> LineFile:
        file = LineFile(self._folder / name)
        opened.callback(file.close)
        return file

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        self._files.close()

    @property
    def done(self) -> frozenset[int]:
        """Indices that have an outcome."""
        return frozenset(self.outcomes)

    @property
    def partial(self) -> dict[int, dict[int, Vote]]:
        """Samples of items that have no outcome yet: by index, by number."""
        return {
            index: dict(votes)
            for index, votes in self.samples.items()
            if index not in self.outcomes
        }

    def append(self, results: Sequence[Result]) -> None:
        """Store a group of outcomes, or none of it. :meth:`sync` forces them to disk."""
        lines = [Line.of_result(result) for result in results]
        encoded = [msgspec.json.encode(line) + b"\n" for line in lines]
        self._outcomes.append(b"".join(encoded))
        for line, result in zip(lines, results, strict=True):
            self._add(line)
            self._grades[line.index, line.sample] = result.other_grades

    def sync(self) -> None:
        """Force to disk what was stored."""
        self._outcomes.sync()
        if self.scores:
            self._scores.sync()

    # --- candidates of a system

    def texts(self) -> dict[int, list[str]]:
        """Return the candidates' texts of each item, in the order of their numbers."""
        texts: dict[int, dict[int, str]] = {}
        for line in self._lines():
            if line.sample is not None:
                texts.setdefault(line.index, {})[line.sample] = line.completion
        ordered = {}
        for index, of_item in texts.items():
            ordered[index] = [of_item[sample] for sample in sorted(of_item)]
        return ordered

    def append_score(self, index: int, sample: int, score: Score) -> None:
        """Store a verifier's score."""
        value = score.value if isfinite(score.value) else None
        line = ScoreLine(index, sample, value, score.tokens)
        self._scores.append(msgspec.json.encode(line) + b"\n")
        self._add_score(line)

    def candidates(self, index: int) -> list[Candidate]:
        """Return the candidates of an item, all scored, in the order of their numbers."""
        votes = self.samples[index]
        scores = self.scores[index]
        return [Candidate(votes[sample], scores[sample]) for sample in sorted(votes)]

    def summarise_candidates(self, name: str, protocol: Protocol) -> Candidates | None:
        """Return accuracies by the number of candidates, and write them.

        None where candidates or scores are missing.
        """
        whole = []
        for index, scores in self.scores.items():
            if len(scores) == protocol.samples:
                whole.append(index)
        if protocol.vote != "verifier" or len(whole) < self._n:
            return None
        items = [self.candidates(index) for index in sorted(whole)]
        summary = candidates.summary(name, items, least=1)
        if summary is not None:
            self._write("candidates.json", summary.to_dict())
        return summary

    @property
    def parts(self) -> tuple[Part, ...]:
        """Stored facts of a system's parts; none where none can be read."""
        try:
            stored = msgspec.json.decode((self._folder / "parts.json").read_bytes())
            return tuple(Part.from_dict(part) for part in stored)
        except (OSError, TypeError, msgspec.DecodeError, EvaluatorError):
            return ()

    def store_parts(self, parts: Sequence[Part]) -> None:
        """Write what each part of a system computed."""
        self._write("parts.json", [part.to_dict() for part in parts])

    def compare(
        self,
        items: Sequence[Item],
        protocol: Protocol,
    ) -> dict[str, dict[str, int]]:
        """Return the counts of the completions by each grader that can grade them.

        They are written too.
        """
        graders = grading.alternatives(protocol.grader)
        counts = {grader: Counter[Outcome]() for grader in graders}
        for lines in self._answers(protocol):
            index = lines[0].index
            scores = self.scores.get(index, {})
            of_item = [scores[sample] for sample in sorted(scores)]
            for grader, counted in counts.items():
                votes = [self._graded(grader, line, items[index], protocol) for line in lines]
                decided = candidates.decide(votes, of_item)
                counted[decided.outcome] += 1
        table = {}
        for grader, counted in counts.items():
            row = {"n": self._n}
            row |= {outcome.name.lower(): counted[outcome] for outcome in Outcome}
            row["not_counted"] = self._n - counted.total()
            table[grader] = row
        self._write("graders.json", table)
        return table

    def record(self, record: Record) -> None:
        """Write the facts that affect the score, as ``record.json``."""
        self._write("record.json", record.to_dict())

    def votes(self, name: str, protocol: Protocol) -> Votes | None:
        """Return aggregates over several samples of each item, and write them.

        None where some are missing.
        """
        whole = self.sampled(protocol)
        if protocol.samples == 1 or len(whole) < self._n:
            return None
        items = []
        for of_item in whole:
            items.append([of_item[sample] for sample in sorted(of_item)])
        votes = ballots.summary(name, items, least=1)
        if votes is not None:
            self._write("votes.json", votes.to_dict())
        return votes

    def sampled(self, protocol: Protocol) -> list[dict[int, Vote]]:
        """Return the votes of each item that has all of its samples."""
        wanted = protocol.samples
        return [votes for votes in self.samples.values() if len(votes) == wanted]

    def pass_at(self, protocol: Protocol) -> dict[int, float]:
        """Return pass@k by k, where the score is a mean over samples; {} where some are missing."""
        whole = self.sampled(protocol)
        if protocol.vote != "mean" or len(whole) < self._n:
            return {}
        rights = [ballots.samples_right(votes.values()) for votes in whole]
        result = {}
        for k in voting.ladder(protocol.samples):
            of_items = [voting.pass_at(right, protocol.samples, k) for right in rights]
            result[k] = float(fmean(of_items))
        return result

    def _graded(
        self,
        grader: str,
        line: Line,
        item: Item,
        protocol: Protocol,
    ) -> Vote:
        """Return a grader's vote on one answer, graded now if it came in an earlier start."""
        grades = self._grades.get((line.index, line.sample), {})
        is_decided = grades or grading.executes(grader)
        if grader == protocol.grader and is_decided:
            return line.vote
        grade = grades.get(grader)
        if grade is None:
            text = protocol.graded(line.completion)
            grade = grading.grade(grader, text, item.gold, cut=line.cut)
        return Vote(grade.extracted, grade.outcome)

    def _answers(self, protocol: Protocol) -> Iterable[Sequence[Line]]:
        """Return the lines of each item that has all of its answers, and scores, by number."""
        samples = protocol.samples
        by_item: dict[int, dict[int | None, Line]] = {}
        for line in self._lines():
            if (line.sample is None) == (samples == 1):
                by_item.setdefault(line.index, {})[line.sample] = line
        for index, lines in by_item.items():
            scores = self.scores.get(index, {})
            scored = protocol.vote != "verifier" or len(scores) == samples
            if len(lines) == samples and scored:
                yield [line for _, line in sorted(lines.items())]

    @property
    def likelihood(self) -> SetLikelihood | None:
        """Stored log-likelihood; None where there is none that can be read."""
        path = self._folder / "likelihood.json"
        try:
            return SetLikelihood.from_dict(msgspec.json.decode(path.read_bytes()))
        except (OSError, msgspec.DecodeError, EvaluatorError):
            return None

    def store_likelihood(self, likelihood: SetLikelihood) -> None:
        """Store it, so that the same run does not read again."""
        self._write("likelihood.json", likelihood.to_dict())

    def _write(self, name: str, facts: object) -> None:
        write_durably(self._folder / name, canonical_json(facts) + b"\n")

    def _lines(self) -> Iterable[Line]:
        """Return one line for each stored answer and each majority."""
        lines = {}
        for text in self._outcomes.lines():
            line = decode_line(text)
            if line and line.index < self._n:
                lines[line.index, line.sample] = line
        return lines.values()

    def _add(self, line: Line) -> None:
        index = line.index
        sample = line.sample
        is_majority = sample is None and index in self.samples  # not asked: no tokens of its own
        if not is_majority:
            self.spent[index, sample] = line.usage
        if line.reason:
            self.reasons[index, sample] = line.reason
        if sample is None:
            self.outcomes[index] = line.vote.outcome
        else:
            self.samples.setdefault(index, {})[sample] = line.vote

    def _add_score(self, line: ScoreLine) -> None:
        value = nan if line.score is None else line.score
        self.scores.setdefault(line.index, {})[line.sample] = value
        self.tokens_scored += line.tokens


def decode_line(line: bytes) -> Line | None:
    """Return one line, None where it is damaged: its item is asked again."""
    try:
        decoded = msgspec.json.decode(line, type=Line)
    except (msgspec.DecodeError, UnicodeError):
        return None
    counts = (decoded.index, decoded.tokens_in, decoded.tokens_out, decoded.sample)
    if decoded.outcome.upper() not in Outcome.__members__:
        return None
    for count in counts:
        if count is not None and count < 0:
            return None
    return decoded
