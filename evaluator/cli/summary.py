"""Summary of a run at a terminal: one record on standard output, the details on standard error."""

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluator.cli import endpoint, systems
from evaluator.cli.failures import failure_record
from evaluator.cli.outfolder import OutFolder
from evaluator.cli.reading import Reading
from evaluator.contract import Candidates, Outcome, Part, Votes
from evaluator.errors import EvaluatorError
from evaluator.items import Item
from evaluator.protocols import Protocol


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Results of a run of ``n`` items.

    ``graders`` has the counts of each grader, ``tries`` pass@k by k, ``parts`` and ``candidates``
    those of a system.
    """

    n: int
    out: OutFolder
    graders: Mapping[str, Mapping[str, int]]
    votes: Votes | None
    tries: Mapping[int, float]
    candidates: Candidates | None
    parts: Sequence[Part]

    @classmethod
    def compute(
        cls, out: OutFolder, name: str, items: Sequence[Item], protocol: Protocol
    ) -> "RunSummary":
        """Aggregate the stored outcomes of the set of this name, and store the aggregates."""
        return cls(
            n=len(items),
            out=out,
            graders=out.compare(items, protocol),
            votes=out.votes(name, protocol),
            tries=out.pass_at(protocol),
            candidates=out.summarise_candidates(name, protocol),
            parts=out.parts,
        )

    def show(
        self, reading: Reading, failure: EvaluatorError | None, *, seconds: float, as_json: bool
    ) -> None:
        """Print the record of a run that took so many seconds, warnings first."""
        record = self.counts()
        record["seconds"] = round(seconds, 3)
        record |= reading.record()
        counted = Counter(self.out.reasons.values())
        reasons = dict(sorted(counted.items()))
        if reasons:
            record["reasons"] = reasons
            listed = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
            print(f"warning: no answer from the endpoint: {listed}", file=sys.stderr)
        if reading.failure:
            print(f"not read: {reading.failure}", file=sys.stderr)
        if failure:
            print(f"error: {failure}", file=sys.stderr)
            record |= failure_record(failure)
        if as_json:
            print(json.dumps(record | self.aggregates()))
        else:
            shown = []
            for name, value in record.items():
                text = "unknown" if value is None else value
                shown.append(f"{name} {text}")
            print("  ".join(shown))
        self.show_details()

    def counts(self) -> dict[str, object]:
        """Return the counts of outcomes and tokens, those of both parts of a system.

        Tokens are None where a server counted none.
        """
        counts = Counter(self.out.outcomes.values())
        spent = endpoint.total_of(self.out.spent.values())
        return {
            "n": self.n,
            **{outcome.name.lower(): counts[outcome] for outcome in Outcome},
            "not_counted": self.n - len(self.out.outcomes),
            "tokens_in": spent.tokens_in + self.out.tokens_scored if spent else None,
            "tokens_out": spent.tokens_out if spent else None,
        }

    def aggregates(self) -> dict[str, object]:
        """Return the fields over several samples and over the parts of a system."""
        fields: dict[str, object] = {}
        if self.votes:
            fields["votes"] = self.votes.to_dict()
        fields |= systems.record(self.parts, self.candidates)
        if self.tries:
            pass_at = {}
            for k, value in self.tries.items():
                pass_at[str(k)] = round(value, 6)
            fields["pass_at"] = pass_at
        return fields

    def show_details(self) -> None:
        """Print each grader's nonzero counts, pass@k, the votes and the parts of a system."""
        for grader, counts in self.graders.items():
            nonzero = []
            for name, value in counts.items():
                if value and name != "n":
                    nonzero.append(f"{name} {value}")
            print(f"{grader}: n {self.n}  {'  '.join(nonzero)}", file=sys.stderr)
        if self.tries:
            line = "  ".join(f"pass@{k} {value:.4f}" for k, value in self.tries.items())
            print(line, file=sys.stderr)
        if self.votes:
            votes = self.votes
            mean = votes.right / (votes.n * votes.samples)
            error = votes.mean_error or 0
            majority = "  ".join(f"maj@{k} {value:.4f}" for k, value in votes.majority)
            calibration = f"calibration error {votes.error:.4f}  Brier {votes.brier:.4f}"
            print(
                f"mean over {votes.samples} samples {mean:.4f}  standard error {error:.4f}",
                file=sys.stderr,
            )
            print(f"{majority}  {calibration}", file=sys.stderr)
        systems.print_system(self.parts, self.candidates)
