"""What becomes of answers: kept here one by one as they arrive, sent to the site as outcomes in groups.

An answer that was kept is not asked for again: an attempt that follows one that was killed on this host finds what
that one had kept, and reports it. What was kept by an attempt whose lease was lost is not taken: by then another was
at it, and the recorder drops it too.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from evaluator.contract import Checkpoint, Graded, JobSpec, Outcome, SetCounts, SetLikelihood, canonical_json
from evaluator.errors import Code
from evaluator.pipeline.host import Host
from evaluator.pipeline.reports import Heartbeat, Reporter
from evaluator.pipeline.run import Result
from evaluator.pipeline.sources import PublicSource, SealedSource

SHORTEST_BEAT = 0.5
"""Seconds: a hostile lease cannot make the heartbeat flood the spool."""


class Keeper:
    """The sink of an attempt: outcomes to reports, answers to the encrypted store, progress to the heartbeat."""

    def __init__(
        self, spec: JobSpec, host: Host, reporter: Reporter, sources: Sequence[PublicSource | SealedSource]
    ) -> None:
        total = sum(len(source.form) for source in sources)
        done = sum(len(source.done) for source in sources)
        beat = max(SHORTEST_BEAT, spec.lease_seconds / 3)
        self.reporter = reporter
        self.heartbeat = Heartbeat(reporter, seconds=beat, total=total, done=done)
        self.artefact = ""
        self.likelihoods: tuple[SetLikelihood, ...] = ()
        self.likelihood_failed: Code | None = None
        self._spec, self._host = spec, host
        self._asked = ""
        self._assigned = {source.name: len(source.form) for source in sources}
        self._sealed = {ask.name for ask in spec.sets if ask.sealed}
        self._counts: dict[str, Counter[Outcome]] = {ask.name: Counter() for ask in spec.sets}

    def resume(
        self, sources: Sequence[PublicSource | SealedSource], protocol_digest: str
    ) -> list[PublicSource | SealedSource]:
        """Report what an attempt before this one had kept and not said; the sources without those items.

        Call it once ``artefact`` is known: answers of other weights, or to other questions, are not taken.
        """
        self._asked = _mark(self._spec, protocol_digest, self.artefact)
        answers = self._host.completions.read(self._spec.run)
        kept = {(answer.set_name, answer.asked, answer.index): answer.outcome for answer in answers}
        return [self._resume(source, kept) for source in sources]

    def _resume(
        self, source: PublicSource | SealedSource, kept: dict[tuple[str, str, int], Outcome]
    ) -> PublicSource | SealedSource:
        asked = sorted(source.form - source.done)
        found = [(index, kept[key]) for index in asked if (key := (source.name, self._asked, index)) in kept]
        for start in range(0, len(found), self._host.policy.group):
            self._send(source.name, found[start : start + self._host.policy.group])
        return replace(source, done=source.done | {index for index, _ in found})

    def answered(self, name: str, result: Result) -> None:
        """Keep what was said here. Once the lease may be lost, no later attempt takes it: see ``Heartbeat``."""
        about = (self._spec.run, name, result.index, result.outcome, result.completion.text)
        self._host.completions.append(*about, asked="" if self.heartbeat.lapsed() else self._asked)

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Send the outcomes."""
        self._send(name, [(result.index, result.outcome) for result in results])

    def _send(self, name: str, outcomes: Sequence[tuple[int, Outcome]]) -> None:
        self.reporter.send(Graded(set=name, outcomes=tuple(outcomes)))
        self._counts[name].update(outcome for _, outcome in outcomes)

    def progress(self, done: int, total: int) -> None:
        """From now on the heartbeat says so."""
        self.heartbeat.asking(done, total)

    def close(self) -> None:
        """Commit in the journal to what the run has come to here, as far as it came, and tell the site."""
        run, token = self._spec.run, self._spec.token
        for name in sorted(self._sealed):
            if closed := self._host.completions.closed(run, name):
                line = self._host.vault.close_run(name, closed, run=run, token=token, artefact=self.artefact)
                self._host.tell(line, self.reporter, head=True)

    def counts(self) -> tuple[SetCounts, ...]:
        """What this attempt graded, set by set."""
        return tuple(
            SetCounts(
                name=ask.name,
                n=self._assigned[ask.name],
                **{outcome.name.lower(): self._counts[ask.name][outcome] for outcome in Outcome},
            )
            for ask in self._spec.sets
        )


def _mark(spec: JobSpec, protocol_digest: str, artefact: str) -> str:
    """What stands for the model and the way it is asked, so that nobody's answer is taken for another's."""
    system = spec.system
    who = [system.name, artefact] if isinstance(system, Checkpoint) else [system.url, system.model, system.api]
    return hashlib.sha256(canonical_json([*who, protocol_digest])).hexdigest()[:16]
