"""Complete runs as the rankings count them: all that a row and a verdict are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import numpy as np
from django.db.models import Count, QuerySet

from evaluator.contract import Outcome, Tier
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notices import retired
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.models import ACCESS, Access, Judged, Verdict
from leaderboard.evidence.prior_exposure import Contacts, Met
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.summaries import Likelihoods, Likely
from leaderboard.submissions.models import (
    COUNTED,
    GraderComparison,
    PackedOutcomes,
    PublicCounts,
    RescoredOutcomes,
    Rescoring,
    Run,
    RunOutcomes,
    Submission,
    compare_graders,
)
from leaderboard.submissions.states import RunState

LEVEL = 0.95
_VALUES = np.full(256, np.nan)
_VALUES[[outcome.value for outcome in COUNTED]] = 0.0
_VALUES[Outcome.RIGHT] = 1.0
_COMPLETE = (RunState.GRADED, RunState.RANKED)


@dataclass(frozen=True)
class Tally:
    """One run's outcomes on one set, as stored."""

    n: int
    right: int
    wrong: int
    no_answer: int
    truncated: int


@dataclass(frozen=True)
class Graded:
    """How many answers of a run one grader says are right, on both sets."""

    grader: str
    public_right: int
    public_n: int
    private_right: int
    private_n: int


@dataclass(frozen=True)
class Strata:
    """Right answers of weights on the blocks that endpoints may be shown, and on those that never leave."""

    exposed_right: int
    exposed_n: int
    local_right: int
    local_n: int


@dataclass(frozen=True)
class Entry:
    """A model's complete run.

    ``outcomes`` and ``public_outcomes`` have a byte for each item of the private and of the public set, 0 for one that
    the model was not asked or that no longer counts; empty where only counts are known. ``family`` is its lineage,
    ``graders`` what each grader makes of it, ``strata`` how weights did on either part of the private set and
    ``contact`` how an endpoint's provider met it, as far as that may be told; ``tries`` how many runs of the model on
    this pair are complete, ``ended`` the day of this one.
    """

    model: str
    organisation: str
    access: Access
    run: str
    public: Tally
    private: Tally
    tier: Tier = "T0"
    version: int = 0
    outcomes: bytes = field(default=b"", repr=False)
    public_outcomes: bytes = field(default=b"", repr=False)
    family: str = ""
    parameters: int | None = None
    open_weights: bool = False
    protocol: str = ""
    grader: str = ""
    tries: int = 1
    ended: str = ""
    judged: Judged | None = None
    likelihood: Likelihoods | None = None
    graders: tuple[Graded, ...] = ()
    strata: Strata | None = None
    contact: Met | None = None


def matrix(entries: Sequence[Entry]) -> tuple[Floats, Floats]:
    """Public and private outcomes, (models, items) each: 1 right, 0 not, NaN not asked or no longer counted."""
    sides = ([entry.public_outcomes for entry in entries], [entry.outcomes for entry in entries])
    public, private = (
        np.array([_VALUES[np.frombuffer(one, np.uint8)] for one in side]) for side in sides
    )
    return public, private


def facts(entry: Entry) -> dict[str, Any]:
    """What is hashed of an entry: everything, outcomes by their digests."""
    known = asdict(entry)
    if entry.contact is None:
        del known["contact"]  # as when there was none: what was decided then comes out again
    return known | {
        "outcomes": sha256(entry.outcomes).hexdigest(),
        "public_outcomes": sha256(entry.public_outcomes).hexdigest(),
        "judged": entry.judged and entry.judged.to_dict(),
        "likelihood": entry.likelihood and entry.likelihood.to_dict(),
    }


def newest(pair: SetPair) -> tuple[Entry, ...]:
    """The newest run of each model, by when it was queued, among those with an outcome for every item."""
    return tuple(_entries(pair, _newest_of_each(_counting(pair))))


def published(pair: SetPair) -> tuple[Entry, ...]:
    """The newest of each model among the runs whose cohort is closed: no score is told before."""
    return tuple(
        _entries(
            pair, _newest_of_each(_counting(pair).filter(pk__in=Verdict.objects.values("run")))
        )
    )


def of_runs(pair: SetPair, runs: Iterable[UUID]) -> tuple[Entry, ...]:
    """The entries of these runs, as far as they still count, in the order of the runs' keys."""
    return tuple(_entries(pair, _counting(pair).filter(pk__in=list(runs)).order_by("pk")))


def _newest_of_each(runs: QuerySet[Run]) -> QuerySet[Run]:
    return runs.order_by("submission__model", "-queued_at", "-pk").distinct("submission__model")


def _counting(pair: SetPair) -> QuerySet[Run]:
    """Runs on ``pair`` that are graded and count. What another protocol came to is no score of the pair's own."""
    runs = Run.objects.filter(
        submission__pair=pair,
        submission__protocol="",
        state__in=_COMPLETE,
        retracted=False,
        post_release=False,
    )
    return runs.select_related("submission__model__organisation", "submission__model__lineage")


def _entries(pair: SetPair, runs: QuerySet[Run]) -> Iterable[Entry]:
    manifest, notices = pair.private.facts(), pair.private.signed_notices()
    gone = retired(manifest, notices) if manifest and notices else frozenset()
    beyond = _beyond(manifest, gone) if manifest else None
    found = list(runs)
    contacts = Contacts.of(manifest) if manifest and any(map(_is_endpoint, found)) else None
    counts = _outcomes(pair, found, gone)
    beside = _beside(pair, found, gone)
    judged = Verdict.objects.of_runs((run.pk for run in found), grader=pair.board_grader)
    tries = _tries(pair)
    for run in found:
        public, private = (
            counts.get((run.pk, pair.public_id)),
            counts.get((run.pk, pair.private_id)),
        )
        if public is not None and private is not None:
            told = public.public_counts(), private.public_counts(gone)
            if told[0] and told[1] and told[1].n:
                yield _entry(
                    run,
                    _tally(told[0]),
                    _tally(told[1]),
                    version=len(notices),
                    outcomes=private.item_outcomes(gone),
                    public_outcomes=public.item_outcomes(frozenset()),
                    protocol=pair.protocol,
                    grader=pair.board_grader,
                    tries=tries.get(run.submission.model_id, 1),
                    judged=judged.get(run.pk),
                    graders=beside.get(run.pk, ()),
                    likelihood=_likelihood(public, private),
                    strata=_strata(private, run, *beyond) if beyond else None,
                    contact=_contact(private, run, gone, contacts) if contacts else None,
                )


def _is_endpoint(run: Run) -> bool:
    return run.submission.kind == Submission.Kind.ENDPOINT


def _outcomes(
    pair: SetPair, runs: Sequence[Run], gone: frozenset[int]
) -> dict[tuple[UUID, int], PackedOutcomes]:
    """The complete outcomes that count, by run and set: of one grader for all, their own or the one switched to."""
    if not pair.ranked_by:
        stored = RunOutcomes.objects.filter(run__in=runs).select_related("item_set")
        return {(one.run_id, one.item_set_id): one for one in stored if one.is_complete}
    orders = {one.pk: run for run, one in Rescoring.objects.newest(runs, pair.ranked_by).items()}
    again = RescoredOutcomes.objects.filter(rescoring__in=orders).select_related("item_set")
    retired_of = {pair.private_id: gone}
    return {
        (orders[one.rescoring_id], one.item_set_id): one
        for one in again
        if one.covers(retired_of.get(one.item_set_id, frozenset()))
    }


def _beside(
    pair: SetPair, runs: Sequence[Run], gone: frozenset[int]
) -> dict[UUID, tuple[Graded, ...]]:
    """What every grader makes of each run on both sets, where that is known and may be told.

    Once items are retired nothing is: counts cannot be taken back out of counts.
    """
    if gone:
        return {}
    found = compare_graders(runs, headline=pair.grader)
    return {run: tuple(_pairs(pair, one)) for run, one in found.items()}


def _pairs(pair: SetPair, found: Iterable[GraderComparison]) -> Iterable[Graded]:
    sets = {pair.public.name: "public", pair.private.name: "private"}
    graders: dict[str, dict[str, tuple[int, int]]] = {}
    for one in found:
        if one.counts is not None and one.set in sets:
            graders.setdefault(one.grader, {})[sets[one.set]] = one.counts["right"], one.n
    for grader, sides in graders.items():
        if len(sides) == len(sets):
            yield Graded(grader, *sides["public"], *sides["private"])


def _beyond(manifest: Manifest, gone: frozenset[int]) -> tuple[frozenset[int], frozenset[int]]:
    """What does not count of a set for its exposed items alone, and for its local ones."""
    exposed, local = (manifest.indices(manifest.block_ids((one,))) for one in ("exposed", "local"))
    items = frozenset(range(manifest.n))
    return items - exposed | gone, items - local | gone


def _strata(
    private: PackedOutcomes, run: Run, beyond_exposed: frozenset[int], beyond_local: frozenset[int]
) -> Strata | None:
    """Of weights, as far as the gate tells either part by itself. What counts of a part changes in steps (ADR 15)."""
    if run.tier != "T0" or run.submission.kind != Submission.Kind.CHECKPOINT:
        return None
    exposed, local = private.public_counts(beyond_exposed), private.public_counts(beyond_local)
    if exposed is None or local is None or not (exposed.n and local.n):
        return None
    return Strata(exposed.right, exposed.n, local.right, local.n)


def _contact(
    private: PackedOutcomes, run: Run, gone: frozenset[int], contacts: Contacts
) -> Met | None:
    """Of endpoints. Which items count is told, and what came of them where the gate tells it."""
    if not _is_endpoint(run):
        return None
    counting = np.frombuffer(private.item_outcomes(gone), np.uint8) > 0
    items = int.from_bytes(np.packbits(counting, bitorder="little").tobytes(), "little")
    return contacts.met(run.pk, items, private.public_counts)


def _likelihood(*sides: PackedOutcomes) -> Likelihoods | None:
    """Of the public and the private set, where both were read alike; a rescoring reads nothing."""
    public, private = (
        side.measured_likelihood if isinstance(side, RunOutcomes) else None for side in sides
    )
    if public is None or private is None or public.definition != private.definition:
        return None
    found = [
        Likely(per_character=one.per_character, standard_error=one.standard_error, n=one.n)
        for one in (public, private)
    ]
    return Likelihoods(definition=public.definition, public=found[0], private=found[1])


def _tries(pair: SetPair) -> dict[int, int]:
    """How many complete runs each model has on ``pair``, those included that count for nothing any more."""
    runs = Run.objects.filter(submission__pair=pair, submission__protocol="", state__in=_COMPLETE)
    return dict(runs.values_list("submission__model").annotate(Count("pk")).order_by())


def _entry(run: Run, public: Tally, private: Tally, **about: Any) -> Entry:
    model = run.submission.model
    return Entry(
        model=model.name,
        organisation=model.organisation.name,
        access=ACCESS[Submission.Kind(run.submission.kind)],
        run=str(run.pk),
        public=public,
        private=private,
        tier=cast("Tier", run.tier),
        family=model.lineage.name if model.lineage else "",
        parameters=model.parameters,
        open_weights=model.open_weights,
        ended=run.ended_at.date().isoformat() if run.ended_at else "",
        **about,
    )


def _tally(counts: PublicCounts) -> Tally:
    return Tally(
        n=counts.n,
        right=counts.right,
        wrong=counts.wrong,
        no_answer=counts.no_answer,
        truncated=counts.truncated,
    )
