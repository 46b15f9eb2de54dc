"""What is known of a set's runs, gathered as the evidence that its release rule is held against.

The rule itself is pure (``evaluator.ledger.rules``); here stands who knows the runs. Only a committed run counts: one
whose every item has an outcome, and whose evaluator has closed it on the public log.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from django.db.models import F
from django.db.models.functions import Now

from evaluator.contract import Tier
from evaluator.ledger.notices import retired
from evaluator.ledger.rules import Evidence, LineageFact, RunFact, Verdict, decide
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.ledger.models import Entry
from leaderboard.submissions.models import Lineage, Run, RunOutcomes, Told
from leaderboard.submissions.models.runs import RunQuerySet
from leaderboard.submissions.states import RunState


@dataclass(frozen=True)
class Weighed:
    """What the evidence says at a moment; None without a rule."""

    evidence: Evidence
    verdict: Verdict | None


def weigh(pair: SetPair) -> Weighed:
    """Hold the evidence of this moment, by the database's clock, against the set's rule. Changes nothing."""
    return _weighed(pair, _complete_runs().filter(submission__pair=pair))


def forecast(pair: SetPair) -> Weighed:
    """What the rule of a pair would say if each model did on its set as it last did on another one.

    Every run of this pair itself is left out. A rule that would be met at once is no promise to keep a set sealed.
    """
    return _weighed(pair, _complete_runs().exclude(submission__pair=pair))


def _weighed(pair: SetPair, runs: RunQuerySet) -> Weighed:
    now = SetPair.objects.annotate(now=Now()).values_list("now", flat=True).get(pk=pair.pk)
    evidence = gather(pair, runs, moment=now)
    manifest = pair.private.facts()
    rule = manifest.rule if manifest else None
    return Weighed(evidence, decide(rule, evidence, now=now) if rule else None)


def gather(pair: SetPair, runs: RunQuerySet, *, moment: datetime) -> Evidence:
    """The facts of the newest of the runs of each model, and all lineages, as evidence about the pair's private set."""
    lineages = Lineage.objects.prefetch_related("parents").order_by("name")
    return Evidence(
        set=pair.private.name,
        root=pair.private.digest,
        moment=moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        runs=tuple(_facts(runs)),
        lineages=tuple(
            LineageFact(name=one.name, parents=tuple(sorted(parent.name for parent in one.parents.all())))
            for one in lineages
        ),
    )


def _complete_runs() -> RunQuerySet:
    """Of weights that we ran ourselves, asked by their pair's own protocol: a later run of an endpoint under the same
    name, or by another protocol, takes nothing from them. Of a run whose cohort is open nothing is told here either."""
    return Run.objects.filter(state=RunState.RANKED, post_release=False, tier="T0", submission__protocol="")


def _facts(runs: RunQuerySet) -> Iterator[RunFact]:
    newest = list(
        runs.select_related("submission__model__lineage", "submission__pair__private", "evaluator")
        .order_by("submission__model__name", "-queued_at", "-pk")
        .distinct("submission__model__name")
    )
    rows = RunOutcomes.objects.filter(run__in=newest, item_set=F("run__submission__pair__private"))
    stored = {one.run_id: one for one in rows.select_related("item_set")}
    closings = _closings(newest)
    sets: dict[int, tuple[frozenset[int], str]] = {}
    for run in newest:
        item_set = run.submission.pair.private
        if item_set.pk not in sets:
            sets[item_set.pk] = _in_force(item_set)
        gone, protocol = sets[item_set.pk]
        if counts := stored[run.pk].told(gone):
            complete = stored[run.pk].is_complete
            yield _fact(run, counts, protocol, closings.get((run.pk, item_set.name), ()), complete=complete)


def _in_force(item_set: ItemSet) -> tuple[frozenset[int], str]:
    """The items that no longer count, and the digest of the protocol that was committed to (empty for none)."""
    manifest = item_set.facts()
    if manifest is None:
        return frozenset(), ""
    gone = retired(manifest, item_set.signed_notices())
    return gone, manifest.terms.protocol_digest if manifest.terms else ""


def _fact(run: Run, counts: Told, protocol: str, closings: tuple[tuple[int, str], ...], *, complete: bool) -> RunFact:
    model = run.submission.model
    # Any evaluator can sign a closing about any run; a run is committed by the one that graded it.
    closed = any(evaluator == run.evaluator_id for evaluator, _ in closings)
    return RunFact(
        run=str(run.pk),
        model=model.name,
        lineage=model.lineage.name if model.lineage else None,
        open_weights=model.open_weights,
        tier=cast("Tier", run.tier),
        n=counts.n,
        assigned=counts.n,
        right=counts.right,
        complete=complete and closed,
        retracted=run.retracted,
        flagged=run.evaluator is None or run.evaluator.flagged,
        current=not protocol or run.protocol_digest == protocol,
        closings=tuple(line for _, line in closings),
    )


def _closings(runs: Iterable[Run]) -> Mapping[tuple[UUID, str], tuple[tuple[int, str], ...]]:
    """The closings of these runs in the chained logs, by run and set: each one's evaluator and hash, oldest first."""
    lines = Entry.objects.filter(
        run__in=[run.pk for run in runs], kind="closing", status=Entry.Status.CHAINED
    ).order_by("evaluator", "index")
    found: dict[tuple[UUID, str], tuple[tuple[int, str], ...]] = {}
    for run, name, evaluator, line in lines.values_list("run", "set_name", "evaluator_id", "entry_hash"):
        if run is not None:
            found[run, name] = (*found.get((run, name), ()), (evaluator, line))
    return found
