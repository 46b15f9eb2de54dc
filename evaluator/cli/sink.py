"""Result sink of a run at a terminal: answers and scores to its folder, progress to a bar."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from evaluator.backends import Score
from evaluator.cli.outfolder import OutFolder
from evaluator.grading.candidates import Candidate
from evaluator.pipeline.ask import Result

_SHOWN_EVERY = 50
"""Candidates or scores between two updates of the bar's text."""


@dataclass(frozen=True, slots=True)
class TerminalSink:
    """Result sink of the only set of a run, also of the candidates of a system."""

    out: OutFolder
    bar: "tqdm[Any]"

    def answered(self, name: str, result: Result) -> None:
        """Store one outcome of the only set, or one answer of several."""
        self.out.append([result])
        if result.sample is not None:
            self._show()

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Force to disk what was stored."""
        self.out.sync()

    def progress(self, done: int, total: int) -> None:
        """Move the bar."""
        self.bar.update(done - self.bar.n)

    def waiting(self, waits: bool) -> None:
        """Print that the endpoint is waited for, or that it answers again."""
        sentence = "waiting for the endpoint" if waits else "the endpoint answers again"
        tqdm.write(sentence, file=sys.stderr)

    # --- candidates of a system

    def texts(self, name: str) -> Mapping[int, Sequence[str]]:
        """Return the candidates' texts of each item, in the order of their numbers."""
        return self.out.texts()

    def written(self, name: str, samples: int) -> Collection[int]:
        """Return the indices of items that have ``samples`` candidates."""
        whole = []
        for index, votes in self.out.samples.items():
            if len(votes) == samples:
                whole.append(index)
        return whole

    def scores(self, name: str, index: int) -> Mapping[int, float]:
        """Return the stored scores of an item, by the candidate's number."""
        return dict(self.out.scores.get(index, {}))

    def scored(
        self,
        name: str,
        index: int,
        sample: int,
        score: Score,
    ) -> None:
        """Store a verifier's score."""
        self.out.append_score(index, sample, score)
        self._show()

    def candidates(self, name: str, index: int) -> Sequence[Candidate]:
        """Return the candidates of an item, all scored."""
        return self.out.candidates(index)

    def _show(self) -> None:
        written = sum(map(len, self.out.samples.values()))
        scored = sum(map(len, self.out.scores.values()))
        if (written + scored) % _SHOWN_EVERY:
            return
        text = f"{written} written"
        if scored:
            text += f", {scored} scored"
        self.bar.set_postfix_str(text)
