"""What is known of a set's runs, gathered as the evidence that its release rule is held against.

The rule itself is pure (``evaluator.ledger.rules``); here stands who knows the runs. Only a committed run counts: one
whose every item has an outcome, and whose evaluator has closed it on the public log.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple, cast
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from evaluator.contract import Tier, Weights
from evaluator.ledger.notices import retired
from evaluator.ledger.rules import Evidence, LineageFact, RunFact, Verdict, decide
from leaderboard.benchmarks.models import ItemSet, SetPair
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
    """What the evidence says at a moment; None without a rule."""

    evidence: Evidence
    verdict: Verdict | None


def weigh(pair: SetPair) -> Weighed:
    """Hold the evidence of this moment, by the database's clock, against the set's rule. Changes nothing."""
    return _weighed(pair, _complete_runs().filter(submission__pair__private=pair.private_id))


def forecast(pair: SetPair) -> Weighed:
    """What the rule of a pair would say if each model did on its set as it last did on another one.

    Every run on this set itself is left out. A rule that would be met at once is no promise to keep a set sealed.
    """
    return _weighed(pair, _complete_runs().exclude(submission__pair__private=pair.private_id))


def _weighed(pair: SetPair, runs: RunQuerySet) -> Weighed:
    now = SetPair.objects.annotate(now=Now()).values_list("now", flat=True).get(pk=pair.pk)
    evidence = gather(pair, runs, moment=now)
    manifest = pair.private.facts()
    rule = manifest.rule if manifest else None
    return Weighed(evidence, decide(rule, evidence, now=now) if rule else None)


def gather(pair: SetPair, runs: RunQuerySet, *, moment: datetime) -> Evidence:
    """The facts of the best run of each model's weights, and all lineages, as evidence about the pair's private set."""
    lineages = Lineage.objects.prefetch_related("parents").order_by("name")
    return Evidence(
        set=pair.private.name,
        root=pair.private.digest,
        moment=moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        runs=tuple(_facts(runs)),
        lineages=tuple(
            LineageFact(
                name=one.name, parents=tuple(sorted(parent.name for parent in one.parents.all()))
            )
            for one in lineages
        ),
    )


def _complete_runs() -> RunQuerySet:
    """Of weights that we ran ourselves, asked by their pair's own protocol: a later run of an endpoint under the same
    name, or by another protocol, takes nothing from them. Of a run whose cohort is open nothing is told here either."""
    return Run.objects.filter(
        state=RunState.RANKED, post_release=False, tier="T0", submission__protocol=""
    )


def _facts(runs: RunQuerySet) -> Iterator[RunFact]:
    """Of each model's weights the best run, the newer of equal ones, in order of model and weights.

    A run that does not count (retracted, flagged, of an older version, not closed) stands behind any that does. So an
    owner who submits worse weights under a name takes nothing from what the better ones did.
    """
    best: dict[tuple[str, str], RunFact] = {}
    for fact in _every_fact(runs):
        known = best.get((fact.model, fact.artefact))
        if known is None or _rank(fact) > _rank(known):
            best[fact.model, fact.artefact] = fact
    yield from (best[key] for key in sorted(best))


def _rank(fact: RunFact) -> tuple[bool, Fraction]:
    counts = fact.complete and fact.current and not fact.retracted and not fact.flagged
    return counts, Fraction(fact.right, fact.n or 1)


def _every_fact(runs: RunQuerySet) -> Iterator[RunFact]:
    """The facts of every run, the newest first."""
    every = list(
        runs.select_related("submission__model", "submission__pair__private", "evaluator").order_by(
            "-queued_at", "-pk"
        )
    )
    rows = RunOutcomes.objects.filter(run__in=every, item_set=F("run__submission__pair__private"))
    stored = {one.run_id: one for one in rows.select_related("item_set")}
    known = _Known.of(every)
    sets: dict[int, tuple[frozenset[int], str]] = {}
    for run in every:
        item_set = run.submission.pair.private
        if item_set.pk not in sets:
            sets[item_set.pk] = _in_force(item_set)
        gone, protocol = sets[item_set.pk]
        if counts := stored[run.pk].public_counts(gone):
            yield _fact(run, counts, protocol, known, complete=stored[run.pk].is_complete)


class Closed(NamedTuple):
    """A closing in the chained logs: its evaluator, its hash, and the digest of the tensors that it commits to."""

    evaluator: int
    line: str
    weights: str


@dataclass(frozen=True)
class _Known:
    """What stands beside the runs: closings by run and set, lineages by model and weights, tensors by their digest."""

    closings: Mapping[tuple[UUID, str], tuple[Closed, ...]]
    lineages: Mapping[tuple[int, str], LineageRecord]
    tensors: Mapping[str, Weights]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> "_Known":
        """All that is known of these runs."""
        models = {run.submission.model_id for run in runs}
        records = LineageRecord.objects.filter(model__in=models).select_related("lineage")
        lists = TensorList.objects.filter(digest__in={run.weights for run in runs})
        return cls(
            closings=_closings(runs),
            lineages={(one.model_id, one.artefact): one for one in records},
            tensors={one.digest: Weights.from_dict(one.data) for one in lists},
        )


def _in_force(item_set: ItemSet) -> tuple[frozenset[int], str]:
    """The items that no longer count, and the digest of the protocol that was committed to (empty for none)."""
    manifest = item_set.facts()
    if manifest is None:
        return frozenset(), ""
    gone = retired(manifest, item_set.signed_notices())
    return gone, manifest.terms.protocol_digest if manifest.terms else ""


def _fact(
    run: Run, counts: PublicCounts, protocol: str, known: _Known, *, complete: bool
) -> RunFact:
    model = run.submission.model
    record = known.lineages.get((model.pk, run.artefact))
    closings = known.closings.get((run.pk, run.submission.pair.private.name), ())
    # Any evaluator can sign a closing about any run; a run is committed by the one that graded it.
    own = [one for one in closings if one.evaluator == run.evaluator_id]
    committed = bool(own) and own[-1].weights == run.weights
    return RunFact(
        run=str(run.pk),
        model=model.name,
        lineage=record.lineage.name if record else None,
        base_model=record.base_model or None if record else None,
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
        closings=tuple(one.line for one in closings),
    )


def _closings(runs: Iterable[Run]) -> Mapping[tuple[UUID, str], tuple[Closed, ...]]:
    """The closings of these runs, by run and set, oldest first."""
    lines = Entry.objects.filter(
        run__in=[run.pk for run in runs], kind="closing", status=Entry.Status.CHAINED
    ).order_by("evaluator", "index")
    found: dict[tuple[UUID, str], tuple[Closed, ...]] = {}
    for run, name, evaluator, line, data in lines.values_list(
        "run", "set_name", "evaluator_id", "entry_hash", "line"
    ):
        if run is not None:
            found[run, name] = (
                *found.get((run, name), ()),
                Closed(evaluator, line, data.get("weights", "")),
            )
    return found
