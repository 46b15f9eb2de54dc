"""Evidence that a set's release rule is weighed on: the facts of its committed runs, gathered here.

The rule itself is pure (``evaluator.ledger.rules``). Only a committed run counts: one whose every
item has an outcome, and whose evaluator has closed it on the public log.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple, cast
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from evaluator.contract import Tier, Weights
from evaluator.ledger.notices import retired
from evaluator.ledger.rules import (
    Evidence,
    LineageFact,
    RunFact,
    Verdict,
    decide,
    moment_of,
    read_evidence,
)
from leaderboard.benchmarks.models import SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.ledger.models import Entry
from leaderboard.submissions.models import (
    Lineage,
    LineageRecord,
    PublicCounts,
    Run,
    RunOutcomes,
    TensorList,
)
from leaderboard.submissions.models.runs import RunQuerySet
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class Weighed:
    """Evidence of a moment, and the rule's verdict over it; None without a rule."""

    evidence: Evidence
    verdict: Verdict | None


def weigh(pair: SetPair) -> Weighed:
    """Weigh the evidence of this moment, by the database's clock, on the set's rule."""
    on_set = _complete_runs().filter(submission__pair__private=pair.private_id)
    return _weigh(pair, on_set)


def standing(pair: SetPair) -> Weighed:
    """Return the evidence that counts, and the verdict over it.

    The evidence of a released set is not weighed again: its release rests on what was signed.
    """
    if pair.state != SetState.RELEASED or not pair.evidence:
        return weigh(pair)
    signed = read_evidence(pair.evidence)
    manifest = pair.private.facts()
    rule = manifest.rule if manifest else None
    verdict = decide(rule, signed, now=moment_of(signed.moment)) if rule else None
    return Weighed(signed, verdict)


def release_progress(pair: SetPair) -> dict[str, Any]:
    """Return the progress of a pair's release rule as JSON data."""
    facts = {
        "pair": pair.slug,
        "state": pair.state,
        "rule": pair.private.rule_words(),
    }
    verdict = standing(pair).verdict
    if verdict is None:
        return facts
    clauses: list[dict[str, Any]] = []
    for clause in verdict.clauses:
        if clause.moment:
            clauses.append({"met": clause.met, "date": clause.moment})
            continue
        clauses.append(
            {
                "met": clause.met,
                "models": [asdict(score) for score in clause.scores],
                "wanted": clause.wanted,
                "short": [asdict(score) for score in clause.short],
            }
        )
    return facts | {"met": verdict.met, "clauses": clauses}


def forecast(pair: SetPair) -> Weighed:
    """Weigh a pair's rule as if each model did on its set as it last did elsewhere.

    Runs on this set itself are left out. A rule that would be met at once is no promise to keep a
    set sealed.
    """
    elsewhere = _complete_runs().exclude(submission__pair__private=pair.private_id)
    return _weigh(pair, elsewhere)


def _weigh(pair: SetPair, runs: RunQuerySet) -> Weighed:
    clocks = SetPair.objects.annotate(now=Now()).values_list("now", flat=True)
    now = clocks.get(pk=pair.pk)
    evidence = gather(pair, runs, moment=now)
    manifest = pair.private.facts()
    rule = manifest.rule if manifest else None
    return Weighed(evidence, decide(rule, evidence, now=now) if rule else None)


def gather(pair: SetPair, runs: RunQuerySet, *, moment: datetime) -> Evidence:
    """Return the facts of the best run of each model's weights, and all lineages, as evidence.

    Of equal runs it is the newer one. A run that does not count (retracted, flagged, of an older
    version, not closed) is ordered behind those that do. Worse weights that are submitted under a
    name change nothing.
    """
    lineages = []
    for lineage in Lineage.objects.prefetch_related("parents").order_by("name"):
        parents = sorted(parent.name for parent in lineage.parents.all())
        lineages.append(LineageFact(name=lineage.name, parents=tuple(parents)))
    best: dict[tuple[str, str], RunFact] = {}
    for fact in _all_facts(runs):
        known = best.get((fact.model, fact.artefact))
        if known is None or _rank(fact) > _rank(known):
            best[fact.model, fact.artefact] = fact
    return Evidence(
        set=pair.private.name,
        root=pair.private.digest,
        moment=moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        runs=tuple(best[key] for key in sorted(best)),
        lineages=tuple(lineages),
    )


def _complete_runs() -> RunQuerySet:
    """Return the runs of weights that we ran ourselves, by their pair's own protocol.

    A later run of an endpoint under the same name, or by another protocol, changes nothing.
    Runs whose cohort is open are left out: their scores are not published yet.
    """
    return Run.objects.filter(
        state=RunState.RANKED,
        post_release=False,
        tier="T0",
        submission__protocol="",
    )


def _rank(fact: RunFact) -> tuple[bool, Fraction]:
    is_valid = not fact.retracted and not fact.flagged
    counts = fact.complete and fact.current and is_valid
    return counts, Fraction(fact.right, fact.n or 1)


def _all_facts(runs: RunQuerySet) -> Iterator[RunFact]:
    """Yield the facts of every run with public counts, the newest first."""
    related = runs.select_related("submission__model", "submission__pair__private", "evaluator")
    newest_first = list(related.order_by("-queued_at", "-pk"))
    sealed = RunOutcomes.objects.filter(item_set=F("run__submission__pair__private"))
    rows = sealed.filter(run__in=newest_first).select_related("item_set", "run")
    outcomes = {row.run_id: row for row in rows}
    known = _Known.of(newest_first)
    sets: dict[int, tuple[frozenset[int], str]] = {}
    for run in newest_first:
        item_set = run.submission.pair.private
        if item_set.pk not in sets:
            # The retired items, and the digest of the committed protocol, empty for none.
            gone = frozenset[int]()
            protocol = ""
            manifest = item_set.facts()
            if manifest:
                gone = retired(manifest, item_set.signed_notices())
                protocol = manifest.terms.protocol_digest if manifest.terms else ""
            sets[item_set.pk] = (gone, protocol)
        gone, protocol = sets[item_set.pk]
        row = outcomes[run.pk]
        counts = row.public_counts(gone)
        if counts is not None:
            yield _fact(run, counts, protocol, known, complete=row.is_complete)


class Closed(NamedTuple):
    """Closing in the chained logs: its evaluator, its hash, the tensors' digest it commits to."""

    evaluator: int
    line: str
    weights: str


@dataclass(frozen=True)
class _Known:
    """Facts besides the runs: closings by run and set, lineages by weights, tensors by digest."""

    closings: Mapping[tuple[UUID, str], tuple[Closed, ...]]
    lineages: Mapping[tuple[int, str], LineageRecord]
    tensors: Mapping[str, Weights]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "_Known":
        """Read what is known of these runs."""
        models = {run.submission.model_id for run in runs}
        records = LineageRecord.objects.filter(model__in=models).select_related("lineage")
        lists = TensorList.objects.filter(digest__in={run.weights for run in runs})
        return cls(
            closings=_closings(runs),
            lineages={(record.model_id, record.artefact): record for record in records},
            tensors={row.digest: Weights.from_dict(row.data) for row in lists},
        )

    def own_closings(self, run: Run) -> list[Closed]:
        """Return the closings of a run by the evaluator that graded it, oldest first.

        Any evaluator can sign a closing about any run; a run is committed by its own.
        """
        closings = self.all_closings(run)
        return [closing for closing in closings if closing.evaluator == run.evaluator_id]

    def all_closings(self, run: Run) -> tuple[Closed, ...]:
        """Return the closings of a run on its private set by any evaluator, oldest first."""
        set_name = run.submission.pair.private.name
        return self.closings.get((run.pk, set_name), ())


def _fact(
    run: Run,
    counts: PublicCounts,
    protocol: str,
    known: _Known,
    *,
    complete: bool,
) -> RunFact:
    model = run.submission.model
    record = known.lineages.get((model.pk, run.artefact))
    closings = known.all_closings(run)
    own = known.own_closings(run)
    committed = bool(own) and own[-1].weights == run.weights
    return RunFact(
        run=str(run.pk),
        model=model.name,
        lineage=record.lineage.name if record else None,
        base_model=(record.base_model or None) if record else None,
        artefact=run.artefact,
        weights=known.tensors.get(run.weights) if committed else None,
        open_weights=model.open_weights,
        tier=cast("Tier", run.tier),
        n=counts.n,
        assigned=counts.n,
        right=counts.right,
        complete=complete and bool(own),
        retracted=run.retracted,
        flagged=run.evaluator is None or run.evaluator.flagged,
        current=not protocol or run.protocol_digest == protocol,
        closings=tuple(closing.line for closing in closings),
    )


def _closings(runs: Iterable[Run]) -> Mapping[tuple[UUID, str], tuple[Closed, ...]]:
    """Return the closings of these runs, by run and set, oldest first."""
    chained = Entry.objects.filter(kind="closing", status=Entry.Status.CHAINED)
    entries = chained.filter(run__in=[run.pk for run in runs])
    closings: dict[tuple[UUID, str], tuple[Closed, ...]] = {}
    for entry in entries.order_by("evaluator", "index"):
        if entry.run is not None:
            place = (entry.run, entry.set_name)
            weights = entry.line.get("weights", "")
            closed = Closed(entry.evaluator_id, entry.entry_hash, weights)
            earlier = closings.get(place, ())
            closings[place] = (*earlier, closed)
    return closings
