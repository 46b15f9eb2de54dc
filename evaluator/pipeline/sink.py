"""Result sink of an attempt: stores answers as they arrive, reports outcomes in groups.

- An answer that is stored is not asked for again: an attempt that follows one that was killed on
  this host reports the outcomes that the earlier attempt had stored.
- Answers that are stored after the lease was lost are not reported by a later attempt: another
  evaluator was working on the run by then, and the recorder drops them too.
- At the end the journal commits to the outcomes, and the last report summarises them.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from msgspec import UNSET

from evaluator import grading
from evaluator.backends import Score, Usage
from evaluator.contract import (
    MIN_CELL_SIZE,
    AdapterModel,
    Candidates,
    Checkpoint,
    Graded,
    GraderCounts,
    HubModel,
    JobSpec,
    Outcome,
    Part,
    Reason,
    Reasons,
    Record,
    SetCounts,
    SetLikelihood,
    SetUsage,
    System,
    Transcripts,
    UploadModel,
    Votes,
    Weights,
    canonical_json,
)
from evaluator.errors import Code, EvaluatorError
from evaluator.grading import ballots, candidates, controls, grade
from evaluator.grading.ballots import Vote, samples_right
from evaluator.grading.candidates import Candidate
from evaluator.pipeline.ask import Result
from evaluator.pipeline.context import Context
from evaluator.pipeline.leases import Lease
from evaluator.pipeline.plan import PublicSource, SealedSource
from evaluator.pipeline.spool import Heartbeat, Reporter
from evaluator.pipeline.transcripts import transcripts_of
from evaluator.protocols import Protocol
from evaluator.sealing.completions import Answered, StoredCompletion, StoredScore

_ANY_GOLD = "#### 0"
"""The answer that is extracted from a completion does not depend on the right one."""
SHORTEST_BEAT = 0.5
"""Seconds: a hostile lease cannot make the heartbeat flood the spool."""

_SamplesOfSet = dict[int, dict[int, Vote]]
_ScoresOfSet = dict[int, dict[int, float]]


class ResultSink:
    """Sink of an attempt: outcomes to reports, answers to the encrypted store."""

    def __init__(
        self,
        spec: JobSpec,
        context: Context,
        reporter: Reporter,
        sources: Sequence[PublicSource | SealedSource],
        lease: Lease,
    ) -> None:
        self.reporter = reporter
        self.heartbeat = Heartbeat(
            reporter,
            seconds=max(SHORTEST_BEAT, spec.lease_seconds / 3),
            total=sum(len(source.selection) for source in sources),
            done=sum(len(source.done) for source in sources),
        )
        self.artefact = ""
        self.weights: Weights | None = None
        self.template = ""
        self.record: Record | None = None
        self.likelihoods: tuple[SetLikelihood, ...] = ()
        self.likelihood_failed: Code | None = None
        self.parts: tuple[Part, ...] = ()
        self._spec = spec
        self._context = context
        self._lease = lease
        self._fingerprint = ""
        self._assigned = {source.name: len(source.selection) for source in sources}
        self._progress = 0, sum(self._assigned.values())
        self._written = 0
        # By set, by index of the item, by number of the sample.
        self._samples: dict[str, _SamplesOfSet] = {source.name: {} for source in sources}
        self._scores: dict[str, _ScoresOfSet] = {source.name: {} for source in sources}
        self._sealed = {ask.name for ask in spec.sets if ask.sealed}
        self._counts: dict[str, Counter[Outcome]] = {}
        for ask in spec.sets:
            self._counts[ask.name] = Counter()

    def resume(
        self, sources: Sequence[PublicSource | SealedSource], protocol: Protocol
    ) -> list[PublicSource | SealedSource]:
        """Report outcomes that an earlier attempt stored and did not report.

        Returns the sources without those items. Call it once
        ``artefact`` is known: answers of other weights, or to other questions, are left out.
        """
        self._fingerprint = _fingerprint(self._spec, protocol.digest, self.artefact)
        outcomes: dict[str, dict[int, Outcome]] = {}
        for source in sources:
            outcomes[source.name] = {}
        for answer in self._context.completions.read(self._spec.run):
            if answer.asked != self._fingerprint or answer.set_name not in outcomes:
                continue
            if answer.sample is None:
                outcomes[answer.set_name][answer.index] = answer.outcome
            else:
                samples = self._samples[answer.set_name].setdefault(answer.index, {})
                samples[answer.sample] = _graded_again(answer, protocol)
        for score in self._context.completions.scores(self._spec.run):
            if score.asked == self._fingerprint and score.set_name in outcomes:
                self._note_score(score)
        self._written = 0
        for items in self._samples.values():
            self._written += sum(len(samples) for samples in items.values())
        averaged = protocol.vote == "mean"
        resumed = []
        for source in sources:
            resumed.append(self._resume(source, outcomes[source.name], averaged))
        return resumed

    def _resume(
        self,
        source: PublicSource | SealedSource,
        outcomes: dict[int, Outcome],
        averaged: bool,
    ) -> PublicSource | SealedSource:
        left = source.selection - source.done
        unreported = sorted(left & outcomes.keys())
        stored = self._samples[source.name]
        group = self._context.policy.group
        for start in range(0, len(unreported), group):
            part = unreported[start : start + group]
            counts = []
            if averaged:
                for index in part:
                    votes = stored.get(index, {}).values()
                    counts.append(samples_right(votes))
            pairs = [(index, outcomes[index]) for index in part]
            self._send(source.name, pairs, counts)
        left -= outcomes.keys()
        samples = {}
        for index, of_item in stored.items():
            if index in left:
                samples[index] = dict(of_item)
        return replace(source, done=source.selection - left, samples=samples)

    def spent(self) -> Usage:
        """Sum the tokens of all answers of this run that are stored here, of every attempt."""
        answers = self._context.completions.read(self._spec.run)
        tokens_in = sum(answer.tokens[0] for answer in answers)
        tokens_out = sum(answer.tokens[1] for answer in answers)
        return Usage(tokens_in, tokens_out)

    def answered(self, name: str, result: Result) -> None:
        """Store an answer; after the lease is lost, so that no later attempt reports it."""
        usage = result.completion.usage
        self._context.completions.append(
            self._spec.run,
            name,
            result.index,
            result.outcome,
            result.completion.text,
            asked=self._fingerprint if self._lease.is_valid() else "",
            sample=result.sample,
            tokens=(usage.tokens_in, usage.tokens_out) if usage else (0, 0),
            cut=result.completion.cut,
            other_grades={
                grader: (other.extracted, other.outcome)
                for grader, other in result.other_grades.items()
            },
            reason=result.completion.reason or "",
        )
        if result.sample is not None:
            samples = self._samples[name].setdefault(result.index, {})
            samples[result.sample] = Vote(result.extracted, result.outcome)
            self._written += 1
            self.progress(*self._progress)

    # --- candidates of a system

    def texts(self, name: str) -> dict[int, list[str]]:
        """Return the candidates' texts of the items of a set that have all of them."""
        texts: dict[int, dict[int, str]] = {}
        for answer in self._context.completions.read(self._spec.run):
            asked_now = answer.asked == self._fingerprint and answer.set_name == name
            if asked_now and answer.sample is not None:
                texts.setdefault(answer.index, {})[answer.sample] = answer.text
        in_order = {}
        for index, of_item in texts.items():
            in_order[index] = [of_item[sample] for sample in sorted(of_item)]
        return in_order

    def written(self, name: str, samples: int) -> list[int]:
        """Return the indices of items that have ``samples`` candidates."""
        complete = []
        for index, votes in self._samples[name].items():
            if len(votes) == samples:
                complete.append(index)
        return complete

    def scores(self, name: str, index: int) -> dict[int, float]:
        """Return the stored scores of an item, by the candidate's number."""
        return dict(self._scores[name].get(index, {}))

    def scored(
        self,
        name: str,
        index: int,
        sample: int,
        score: Score,
    ) -> None:
        """Store a verifier's score, as an answer is stored."""
        asked = self._fingerprint if self._lease.is_valid() else ""
        stored = StoredScore(name, index, sample, score.value, score.tokens, asked)
        self._context.completions.append_score(self._spec.run, stored)
        self._note_score(stored)

    def _note_score(self, score: StoredScore) -> None:
        of_item = self._scores[score.set_name].setdefault(score.index, {})
        of_item[score.sample] = score.value

    def candidates(self, name: str, index: int) -> list[Candidate]:
        """Return the candidates of an item, all scored, in the order of their numbers."""
        votes = self._samples[name][index]
        scores = self._scores[name][index]
        return [Candidate(votes[sample], scores[sample]) for sample in sorted(votes)]

    def summarise_candidates(
        self, sources: Sequence[PublicSource | SealedSource], samples: int
    ) -> tuple[Candidates, ...]:
        """Summarise each set all of whose candidates and scores are stored here."""
        summaries = []
        for source in sources:
            scores = self._scores[source.name]
            indices = sorted(source.selection)
            if any(len(scores.get(index, {})) != samples for index in indices):
                continue
            items = [self.candidates(source.name, index) for index in indices]
            least = self._smallest_cell(source.name)
            summaries.append(candidates.summary(source.name, items, least=least))
        return tuple(summary for summary in summaries if summary is not None)

    def tokens_scored(self) -> int:
        """Sum the tokens that the verifier has read for this run, of every attempt."""
        scores = self._context.completions.scores(self._spec.run)
        return sum(score.tokens for score in scores)

    def graded(self, name: str, results: Sequence[Result]) -> None:
        """Report a group of outcomes."""
        counts = [one.samples_right for one in results if one.samples_right is not None]
        self._send(name, [(result.index, result.outcome) for result in results], counts)

    def _send(
        self, name: str, outcomes: Sequence[tuple[int, Outcome]], counts: Sequence[int]
    ) -> None:
        self.reporter.send(Graded(set=name, outcomes=tuple(outcomes), samples_right=tuple(counts)))
        self._counts[name].update(outcome for _, outcome in outcomes)

    def progress(self, done: int, total: int) -> None:
        """Have the heartbeat report the progress from now on."""
        self._progress = done, total
        is_system = isinstance(self._spec.system, System)
        self.heartbeat.asking(done, total, self._written if is_system else UNSET)

    def waiting(self, is_waiting: bool) -> None:
        """Have the heartbeat report that the endpoint is waited for, or no more."""
        self.heartbeat.waiting(is_waiting)

    def close(self) -> None:
        """Commit in the journal to the outcomes of the run so far, and report the commitment."""
        run = self._spec.run
        token = self._spec.token
        weights = self.weights.digest() if self.weights else ""
        try:
            for name in sorted(self._sealed):
                closed = self._context.completions.closed(run, name)
                if not closed:
                    continue
                line = self._context.vault.close_run(
                    name,
                    closed,
                    run=run,
                    token=token,
                    artefact=self.artefact,
                    weights=weights,
                )
                self._context.report_line(line, self.reporter, head=True)
        except EvaluatorError:  # as of a full disk: the upkeep does it once that is possible
            self._context.unclosed.set()
            raise

    # --- the summary in the last report

    def counts(self) -> tuple[SetCounts, ...]:
        """Count the outcomes that this attempt reported, set by set."""
        of_sets = []
        for ask in self._spec.sets:
            counts = self._counts[ask.name]
            by_outcome = {outcome.name.lower(): counts[outcome] for outcome in Outcome}
            n = self._assigned[ask.name]
            of_sets.append(SetCounts(name=ask.name, n=n, **by_outcome))
        return tuple(of_sets)

    def votes(
        self, protocol: Protocol, sources: Sequence[PublicSource | SealedSource]
    ) -> tuple[Votes, ...]:
        """Summarise the votes of each set all of whose samples are stored here. Aggregates only."""
        if protocol.samples == 1:
            return ()
        summaries = []
        for source in sources:
            stored = self._samples[source.name]
            items = [stored.get(index, {}) for index in sorted(source.selection)]
            if any(len(samples) != protocol.samples for samples in items):
                continue
            votes = []
            for samples in items:
                votes.append([samples[number] for number in sorted(samples)])
            least = self._smallest_cell(source.name)
            summaries.append(ballots.summary(source.name, votes, least=least))
        return tuple(summary for summary in summaries if summary is not None)

    def _smallest_cell(self, name: str) -> int:
        """Return the minimum number of items that a count may be about."""
        return MIN_CELL_SIZE if name in self._sealed else 1

    def reasons(self, sources: Sequence[PublicSource | SealedSource]) -> tuple[Reasons, ...]:
        """Count why the endpoint gave no answer, over all attempts.

        A reason follows from what the endpoint sent, so it reveals nothing of a right answer. A set
        of which an answer is not stored here has no counts, and neither has a sealed set whose item
        selection has fewer than ``MIN_CELL_SIZE`` items.
        """
        counted = []
        for source in sources:
            stored = self._answers_of(source.name)
            items = [stored[index] for index in source.selection if index in stored]
            fewest = max(len(source.selection), self._smallest_cell(source.name))
            if len(items) < fewest:
                continue
            counts: Counter[Reason] = Counter()
            for item in items:
                if item.outcome is not Outcome.NO_ANSWER:
                    continue
                # Several samples may have several reasons: the first one in their order counts.
                given = {answer.reason for answer in item.answers}
                first = next((reason for reason in get_args(Reason) if reason in given), None)
                if first is not None:
                    counts[first] += 1
            if counts:
                pairs = tuple(sorted(counts.items()))
                of_set = Reasons(name=source.name, n=len(items), counts=pairs)
                counted.append(of_set)
        return tuple(counted)

    def transcripts(
        self, protocol: Protocol, sources: Sequence[PublicSource | SealedSource]
    ) -> tuple[Transcripts, ...]:
        """Return the transcripts that the job asks for, of public sets only."""
        most = self._spec.transcripts
        if not most:
            return ()
        transcripts = []
        for source in sources:
            if not isinstance(source, PublicSource):
                continue
            answers = self._answers_of(source.name)
            of_set = transcripts_of(source, protocol, answers, most=most)
            if of_set is not None:
                transcripts.append(of_set)
        return tuple(transcripts)

    def _answers_of(self, name: str) -> dict[int, Answered]:
        completions = self._context.completions
        return completions.answered(self._spec.run, name, asked=self._fingerprint)

    def usage(self, sources: Sequence[PublicSource | SealedSource]) -> tuple[SetUsage, ...]:
        """Sum the tokens of each public set, over the items whose answers all have their counts.

        Of a sealed set nothing is summed: crafted weights could carry its items out.
        """
        usages = []
        for source in sources:
            if not isinstance(source, PublicSource):
                continue
            name = source.name
            read_by_verifier: Counter[int] = Counter()
            for score in self._context.completions.scores(self._spec.run):
                if score.set_name == name and score.asked == self._fingerprint:
                    read_by_verifier[score.index] += score.tokens
            n = 0
            tokens_in = 0
            tokens_out = 0
            for index, item in self._answers_of(name).items():
                if not all(any(answer.tokens) for answer in item.answers):
                    continue
                n += 1
                tokens_in += read_by_verifier[index]
                for answer in item.answers:
                    tokens_in += answer.tokens[0]
                    tokens_out += answer.tokens[1]
            if n:
                usage = SetUsage(name=name, n=n, tokens_in=tokens_in, tokens_out=tokens_out)
                usages.append(usage)
        return tuple(usages)

    def answers(self) -> int:
        """Count the stored answers of this run, except for items that the endpoint refused."""
        answers = self._context.completions.read(self._spec.run)
        return sum(not answer.reason for answer in answers)

    def graders(self, headline: str) -> tuple[GraderCounts, ...]:
        """Count the outcomes of the run's stored answers under each grader that can grade them.

        The answers are those of all attempts. A grader that fails its control items has no counts;
        one that executes programs passed them at the end of the run.
        """
        sound = [
            grader
            for grader in grading.alternatives(headline)
            if grading.executes(grader) or controls.hold(grading.grade, grader)
        ]
        counted = []
        for ask in self._spec.sets:
            items = self._answers_of(ask.name).values()
            for grader in sound:
                counts: Counter[Outcome] = Counter()
                for item in items:
                    if grader == headline:
                        counts[item.outcome] += 1
                        continue
                    outcome = _outcome_under(item, grader)
                    if outcome is not None:
                        counts[outcome] += 1
                by_outcome = {
                    outcome.name.lower(): counts[outcome]
                    for outcome in Outcome
                    if outcome is not Outcome.NOT_COUNTED
                }
                of_grader = GraderCounts(
                    grader=grader,
                    set=ask.name,
                    n=counts.total(),
                    **by_outcome,
                )
                counted.append(of_grader)
        return tuple(counted)


def _outcome_under(item: Answered, grader: str) -> Outcome | None:
    """Return an item's outcome under another grader, by vote or by the scores of several samples.

    None where a sample was stored without that grader's reading.
    """
    readings = [answer.other_grades.get(grader) for answer in item.answers]
    votes = [Vote(*reading) for reading in readings if reading is not None]
    if len(votes) != len(readings):
        return None
    return candidates.decide(votes, item.scores).outcome


def _graded_again(answer: StoredCompletion, protocol: Protocol) -> Vote:
    """Return a stored answer as its grader read it, with its outcome.

    The reading of a program, which was executed, is stored.
    """
    if grading.executes(protocol.grader):
        return Vote(*answer.other_grades[protocol.grader])
    text = protocol.graded(answer.text)
    graded = grade(protocol.grader, text, _ANY_GOLD, cut=answer.was_cut)
    return Vote(graded.extracted, answer.outcome)


def _fingerprint(spec: JobSpec, protocol_digest: str, artefact: str) -> str:
    """Return a digest of the system and of the way it is asked.

    Answers with another digest belong to another system or to other questions.
    """
    system = spec.system
    if isinstance(system, System):
        identity = [artefact]  # of both parts
    elif isinstance(system, Checkpoint):
        identity = [system.name, artefact]
    elif isinstance(system, HubModel):
        identity = [system.repo, system.commit, artefact]
    elif isinstance(system, UploadModel | AdapterModel):
        identity = [system.id, artefact]
    else:
        identity = [system.url, system.model, system.api]
        if system.provider:
            identity.append(system.provider)
    facts = canonical_json([*identity, protocol_digest])
    return hashlib.sha256(facts).hexdigest()[:16]
