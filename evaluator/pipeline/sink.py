"""What becomes of answers: kept here one by one as they arrive, sent to the site as outcomes in groups.

An answer that was kept is not asked for again: an attempt that follows one that was killed on this host finds what
that one had kept, and reports it. What was kept by an attempt whose lease was lost is not taken: by then another was
at it, and the recorder drops it too.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from evaluator import grading
from evaluator.backends import Backend, Served, Usage
from evaluator.contract import (
    LEAST_CELL,
    Budget,
    Checkpoint,
    Endpoint,
    Graded,
    GraderCounts,
    JobSpec,
    Outcome,
    Reason,
    Reasons,
    Record,
    SetCounts,
    SetLikelihood,
    ShotRecord,
    Votes,
    Weights,
    canonical_json,
)
from evaluator.errors import Code
from evaluator.grading import ballots, controls, grade
from evaluator.grading.ballots import Said
from evaluator.items import set_digest
from evaluator.pipeline.ask import Result
from evaluator.pipeline.context import Host
from evaluator.pipeline.leases import Lease
from evaluator.pipeline.plan import PublicSource, SealedSource, Source
from evaluator.pipeline.spool import Heartbeat, Reporter
from evaluator.protocols import Protocol
from evaluator.sealing.completions import Answered, StoredCompletion

_ANY_GOLD = "#### 0"
"""What an answer reads as does not depend on the right one."""
SHORTEST_BEAT = 0.5
"""Seconds: a hostile lease cannot make the heartbeat flood the spool."""


class Keeper:
    """The sink of an attempt: outcomes to reports, answers to the encrypted store, progress to the heartbeat."""

    def __init__(
        self,
        spec: JobSpec,
        host: Host,
        reporter: Reporter,
        sources: Sequence[PublicSource | SealedSource],
        lease: Lease,
    ) -> None:
        total = sum(len(source.form) for source in sources)
        done = sum(len(source.done) for source in sources)
        beat = max(SHORTEST_BEAT, spec.lease_seconds / 3)
        self.reporter = reporter
        self.heartbeat = Heartbeat(reporter, seconds=beat, total=total, done=done)
        self.artefact = ""
        self.weights: Weights | None = None
        self.template = ""
        self.record: Record | None = None
        self.likelihoods: tuple[SetLikelihood, ...] = ()
        self.likelihood_failed: Code | None = None
        self._spec, self._host, self._lease = spec, host, lease
        self._asked = ""
        self._assigned = {source.name: len(source.form) for source in sources}
        self._said: dict[str, dict[int, dict[int, Said]]] = {source.name: {} for source in sources}
        self._sealed = {ask.name for ask in spec.sets if ask.sealed}
        self._counts: dict[str, Counter[Outcome]] = {ask.name: Counter() for ask in spec.sets}

    def resume(
        self, sources: Sequence[PublicSource | SealedSource], protocol: Protocol
    ) -> list[PublicSource | SealedSource]:
        """Report what an attempt before this one had kept and not said; the sources without those items.

        Call it once ``artefact`` is known: answers of other weights, or to other questions, are not taken.
        """
        self._asked = _mark(self._spec, protocol.digest, self.artefact)
        kept: dict[str, dict[int, Outcome]] = {source.name: {} for source in sources}
        for answer in self._host.completions.read(self._spec.run):
            if answer.asked != self._asked or answer.set_name not in kept:
                continue
            if answer.sample is None:
                kept[answer.set_name][answer.index] = answer.outcome
            else:
                said = self._said[answer.set_name].setdefault(answer.index, {})
                said[answer.sample] = _said(answer, protocol)
        return [self._resume(source, kept[source.name]) for source in sources]

    def _resume(
        self, source: PublicSource | SealedSource, kept: dict[int, Outcome]
    ) -> PublicSource | SealedSource:
        found = [
            (index, kept[index]) for index in sorted(source.form - source.done) if index in kept
        ]
        for start in range(0, len(found), self._host.policy.group):
            self._send(source.name, found[start : start + self._host.policy.group])
        done = source.done | {index for index, _ in found}
        left = source.form - done
        samples = {
            index: dict(said) for index, said in self._said[source.name].items() if index in left
        }
        return replace(source, done=done, kept=samples)

    def spent(self) -> Usage:
        """The tokens of all answers that were kept of this run, whoever asked for them here."""
        tokens = [answer.tokens for answer in self._host.completions.read(self._spec.run)]
        return Usage(sum(read for read, _ in tokens), sum(written for _, written in tokens))

    def answered(self, name: str, result: Result) -> None:
        """Store what was answered. Once the lease is lost, no later attempt takes it: another was at it by then."""
        usage = result.completion.usage
        self._host.completions.append(
            self._spec.run,
            name,
            result.index,
            result.outcome,
            result.completion.text,
            asked=self._asked if self._lease.is_valid() else "",
            sample=result.sample,
            # Only an endpoint's answers are counted against a budget, and the gateway counts each.
            tokens=(usage.tokens_in, usage.tokens_out) if usage else (0, 0),
            cut=result.completion.cut,
            beside={
                grader: (other.extracted, other.outcome) for grader, other in result.beside.items()
            },
            reason=result.completion.reason or "",
        )
        if result.sample is not None:
            said = self._said[name].setdefault(result.index, {})
            said[result.sample] = Said(result.extracted, result.outcome)

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Send the outcomes."""
        self._send(name, [(result.index, result.outcome) for result in results])

    def _send(self, name: str, outcomes: Sequence[tuple[int, Outcome]]) -> None:
        self.reporter.send(Graded(set=name, outcomes=tuple(outcomes)))
        self._counts[name].update(outcome for _, outcome in outcomes)

    def progress(self, done: int, total: int) -> None:
        """From now on the heartbeat says so."""
        self.heartbeat.asking(done, total)

    def waiting(self, waits: bool) -> None:
        """Have the heartbeat say whether the endpoint is waited for."""
        self.heartbeat.waiting(waits)

    def close(self) -> None:
        """Commit in the journal to what the run has come to here, as far as it came, and tell the site."""
        run, token = self._spec.run, self._spec.token
        weights = self.weights.digest() if self.weights else ""
        for name in sorted(self._sealed):
            if closed := self._host.completions.closed(run, name):
                line = self._host.vault.close_run(
                    name, closed, run=run, token=token, artefact=self.artefact, weights=weights
                )
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

    def votes(
        self, protocol: Protocol, sources: Sequence[PublicSource | SealedSource]
    ) -> tuple[Votes, ...]:
        """What several samples came to on each set whose every item has all of them here. Aggregates only."""
        if protocol.samples == 1:
            return ()
        found = (self._votes(source, protocol.samples) for source in sources)
        return tuple(votes for votes in found if votes is not None)

    def _votes(self, source: PublicSource | SealedSource, samples: int) -> Votes | None:
        said = self._said[source.name]
        if any(len(said.get(index, ())) != samples for index in source.form):
            return None
        items = [[one for _, one in sorted(said[index].items())] for index in sorted(source.form)]
        return ballots.summary(
            source.name, items, least=LEAST_CELL if source.name in self._sealed else 1
        )

    def reasons(self, sources: Sequence[PublicSource | SealedSource]) -> tuple[Reasons, ...]:
        """Count why the endpoint gave no answer, over all attempts. A set of which an answer is not here has none.

        A reason follows from what the endpoint sent, so it says nothing of a right answer; of a sealed set it is
        counted over the whole item selection, of at least ``LEAST_CELL`` items, or not at all.
        """
        counted = []
        for source in sources:
            stored = self._host.completions.answered(self._spec.run, source.name, asked=self._asked)
            here = [stored[index] for index in source.form if index in stored]
            least = LEAST_CELL if source.name in self._sealed else 1
            if len(here) == len(source.form) >= least:
                counts = Counter(reason for item in here if (reason := _reason(item)) is not None)
                if counts:
                    pairs = tuple(sorted(counts.items()))
                    counted.append(Reasons(name=source.name, n=len(here), counts=pairs))
        return tuple(counted)

    def answers(self) -> int:
        """Count the answers of this run that are stored here, without those that the endpoint refused."""
        return sum(not stored.reason for stored in self._host.completions.read(self._spec.run))

    def graders(self, headline: str) -> tuple[GraderCounts, ...]:
        """What each published grader makes of the run's answers that are kept here, over all of its attempts.

        A grader that fails its control items has no counts.
        """
        sound = [grader for grader in grading.ids() if controls.hold(grading.grade, grader)]
        found = []
        for ask in self._spec.sets:
            kept = self._host.completions.answered(
                self._spec.run, ask.name, asked=self._asked
            ).values()
            for grader in sound:
                outcomes = (
                    one.outcome if grader == headline else _beside(one, grader) for one in kept
                )
                found.append(
                    _counted(grader, ask.name, Counter(one for one in outcomes if one is not None))
                )
        return tuple(found)


def _reason(item: Answered) -> Reason | None:
    """The reason of an item without an answer; of several samples the first one's."""
    if item.outcome is not Outcome.NO_ANSWER:
        return None
    named = {answer.reason for answer in item.answers}
    return next((reason for reason in get_args(Reason) if reason in named), None)


def _beside(kept: Answered, grader: str) -> Outcome | None:
    """What another grader makes of an item: of the only answer, or of the vote on several. None where it is unknown."""
    told = [answer.beside.get(grader) for answer in kept.answers]
    said = [Said(*one) for one in told if one is not None]
    return ballots.decide(said).outcome if len(said) == len(told) else None


def _counted(grader: str, name: str, counts: Counter[Outcome]) -> GraderCounts:
    each = {
        outcome.name.lower(): counts[outcome]
        for outcome in Outcome
        if outcome is not Outcome.NOT_COUNTED
    }
    return GraderCounts(grader=grader, set=name, n=counts.total(), **each)


def _said(answer: StoredCompletion, protocol: Protocol) -> Said:
    """What a kept answer was read as."""
    text = protocol.graded(answer.text)
    return Said(
        grade(protocol.grader, text, _ANY_GOLD, cut=answer.was_cut).extracted, answer.outcome
    )


def _mark(spec: JobSpec, protocol_digest: str, artefact: str) -> str:
    """What stands for the model and the way it is asked, so that nobody's answer is taken for another's."""
    system = spec.system
    who = (
        [system.name, artefact]
        if isinstance(system, Checkpoint)
        else [system.url, system.model, system.api]
    )
    if isinstance(system, Endpoint) and system.provider:
        who.append(system.provider)
    return hashlib.sha256(canonical_json([*who, protocol_digest])).hexdigest()[:16]


def record_of(
    protocol: Protocol,
    sources: Sequence[Source],
    backend: Backend,
    *,
    remote: bool,
    template: str = "",
    budget: Budget | None = None,
) -> Record:
    """The record of one attempt that is over. ``template`` is the digest of the checkpoint's chat template."""
    served: Served = getattr(backend, "served", Served())
    rendered = protocol.ask == "message"
    bos = "endpoint" if remote else "template" if rendered else protocol.bos
    return Record.from_dict(
        {
            "protocol": protocol.id,
            "protocol_digest": protocol.digest,
            "grader": protocol.grader,
            "grader_digest": grading.digest(protocol.grader),
            "max_tokens": protocol.max_tokens,
            "budget": budget.to_dict() if budget else None,
            "shots": [_shots(protocol, source).to_dict() for source in sources],
            "bos": bos,
            "template": template if rendered and not remote else "",
            "engine": served.engine,
            "dtype": served.dtype,
            "hardware": served.hardware,
            "returned": sorted(getattr(backend, "returned", ())) if remote else [],
        }
    )


def _shots(protocol: Protocol, source: Source) -> ShotRecord:
    """Which shots were shown: indices into a public pool, for each item of the whole set."""
    drawn = protocol.draws(source.n, len(source.shots))
    digest = hashlib.sha256(canonical_json([list(indices) for indices in drawn])).hexdigest()
    pool = getattr(source, "pool", "") or (set_digest(source.shots) if source.shots else "")
    return ShotRecord(name=source.name, pool=pool, drawn=digest)
