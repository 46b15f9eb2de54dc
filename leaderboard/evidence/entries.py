"""Complete runs as rankings and verdicts read them: counts, outcomes and facts of the model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Any, NamedTuple, Self, cast
from uuid import UUID

import numpy as np
from django.db.models import Count, QuerySet

from evaluator.contract import Outcome, OutcomeCounts, SetLikelihood, Tier
from evaluator.ledger.manifests import Manifest, Stratum
from evaluator.ledger.notices import retired
from evaluator.policy import STAGED_TIER
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.models import ACCESS, Access, AdaptiveResult, Judged, Verdict
from leaderboard.evidence.prior_exposure import ExposureHistory, RunExposure
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.statistics.sampling import effective_items
from leaderboard.evidence.summaries import LaterTries, Likelihoods, Likely, ReplacedRun
from leaderboard.submissions.item_selection import recipient_of
from leaderboard.submissions.ladder import EXACT_TIERS, PublishedScore, step_of
from leaderboard.submissions.models import (
    COUNTED,
    PackedOutcomes,
    RescoredOutcomes,
    Rescoring,
    Run,
    RunOutcomes,
    RunPlan,
    SampleMean,
    Submission,
    compare_graders,
    published_in_steps,
    trained_on_public,
)
from leaderboard.submissions.states import RunState

LEVEL = 0.95
_COMPLETE = (RunState.GRADED, RunState.RANKED)
_VALUES = np.full(256, np.nan)
"""Value of each outcome byte in a matrix of outcomes."""
_VALUES[[outcome.value for outcome in COUNTED]] = 0.0
_VALUES[Outcome.RIGHT] = 1.0


class EffectiveCounts(NamedTuple):
    """Numbers of right, truncated and all items; no whole numbers where a score is a mean."""

    right: float
    truncated: float
    n: float


def share(counts: OutcomeCounts, mean: SampleMean | None) -> float:
    """Return a score as a fraction: the right items, or the ``mean`` over samples."""
    if mean is None:
        return counts.right / counts.n
    return mean.right / (mean.samples * counts.n)


def effective(counts: OutcomeCounts, mean: SampleMean | None) -> EffectiveCounts:
    """Return counts with the score and its standard error as if each item had one outcome.

    Of a mean over samples they are of as many items as would have its error, between the number of
    items and that of samples (L. Kish, Survey Sampling (1965), section 8.2).
    """
    if mean is None:
        return EffectiveCounts(counts.right, counts.truncated, counts.n)
    p = share(counts, mean)
    items = effective_items(p, mean.error, items=counts.n, samples=mean.samples)
    truncated = counts.truncated * items / counts.n
    return EffectiveCounts(p * items, truncated, items)


@dataclass(frozen=True)
class Graded:
    """Right answers of a run on both sets according to one grader."""

    grader: str
    public_right: int
    public_n: int
    private_right: int
    private_n: int


@dataclass(frozen=True)
class Strata:
    """Right answers of weights on items that endpoints had been shown, and on items never sent."""

    exposed_right: int
    exposed_n: int
    local_right: int
    local_n: int


@dataclass(frozen=True)
class StagedRuns:
    """Runs of one model on a set that its provider was shown in stages, oldest first.

    - ``outcomes``: by run a byte for each item, 0 for one that is on neither side;
    - ``seen``: by run 1 for each item that the provider had been shown before, else 0;
    - ``compared``: places of the runs with enough items on both sides;
    - ``comparisons``: number of comparisons that p-values are corrected for.
    """

    outcomes: tuple[bytes, ...] = field(repr=False)
    seen: tuple[bytes, ...] = field(repr=False)
    compared: tuple[int, ...]
    comparisons: int

    @classmethod
    def of_history(cls, history: ExposureHistory, outcomes: Mapping[UUID, bytes]) -> Self | None:
        """Return the runs as ``history`` divides their items; None where no run is compared.

        ``outcomes`` are oldest first; an item that does not count has outcome 0.
        """
        items = [(run, _items_of(packed)) for run, packed in outcomes.items()]
        found = history.of_runs(items)
        if found is None:
            return None
        on_sides = []
        shown_before = []
        every_item = bytes([1]) * history.n
        for run, seen, fresh in zip(found.runs, found.seen, found.fresh, strict=True):
            on_sides.append(_restricted(outcomes[run], seen | fresh))
            shown_before.append(_restricted(every_item, seen))
        return cls(tuple(on_sides), tuple(shown_before), found.compared, found.comparisons)


def _items_of(packed: bytes) -> int:
    """Return the items with an outcome other than 0, bit i for item i."""
    has_outcome = np.frombuffer(packed, np.uint8) > 0
    bits = np.packbits(has_outcome, bitorder="little")
    return int.from_bytes(bits.tobytes(), "little")


def _restricted(packed: bytes, items: int) -> bytes:
    """Return the bytes with 0 for all other items."""
    return bytes(value if items >> at & 1 else 0 for at, value in enumerate(packed))


@dataclass(frozen=True)
class Entry:
    """Complete run of a model.

    - ``outcomes`` and ``public_outcomes`` have a byte for each item of the private and the public
      set, 0 for one that was not asked or no longer counts; empty where only counts are known, as
      of a self-declared endpoint, whose private score is published in steps;
    - ``mean`` and ``public_mean`` are the scores where these are means over samples, of which
      ``samples_right`` and ``public_samples_right`` have the right ones of each item;
    - ``family`` is the model's lineage, ``tokens`` are those of a public item (``Run``);
    - ``graders`` are the counts by each grader;
    - ``strata`` are counts of weights on either part of the private set;
    - ``prior_exposure`` is that of an endpoint's provider, as far as it may be published;
    - ``staged`` are the endpoint's runs until this one, where its provider was shown the set in
      parts;
    - ``within`` bounds the distance from a published private score to the exact one, in items;
    - ``adaptive`` is the result of a run that was asked a part of its items by a plan: it has no
      ``outcomes``, because easy and hard items are not among them in the set's proportion;
    - ``trained_on_public``: its author states that the model was trained on the public set;
    - ``tries`` is the number of the model's complete runs on this pair, ``ended`` the day of this;
    - ``later``, ``replaced`` and ``lineage_runs`` are as in ``model_runs``, of a run that ranks.
    """

    model: str
    organisation: str
    access: Access
    run: str
    public: OutcomeCounts
    private: OutcomeCounts
    tier: Tier = "T0"
    version: int = 0
    outcomes: bytes = field(default=b"", repr=False)
    public_outcomes: bytes = field(default=b"", repr=False)
    samples_right: bytes = field(default=b"", repr=False)
    public_samples_right: bytes = field(default=b"", repr=False)
    mean: SampleMean | None = None
    public_mean: SampleMean | None = None
    family: str = ""
    parameters: int | None = None
    tokens: float | None = None
    open_weights: bool = False
    protocol: str = ""
    grader: str = ""
    tries: int = 1
    ended: str = ""
    judged: Judged | None = None
    likelihood: Likelihoods | None = None
    graders: tuple[Graded, ...] = ()
    strata: Strata | None = None
    prior_exposure: RunExposure | None = None
    staged: StagedRuns | None = None
    within: int = 0
    adaptive: AdaptiveResult | None = None
    trained_on_public: bool = False
    later: LaterTries | None = None
    replaced: ReplacedRun | None = None
    lineage_runs: int = 0

    @property
    def step(self) -> int:
        """Step of a private score that is published in steps; 0 for an exact one."""
        return 0 if self.tier in EXACT_TIERS else step_of(self.private.n)

    @property
    def may_judge(self) -> bool:
        """True if the run may judge others: its score is exact and over all items."""
        return not self.step and self.adaptive is None

    @property
    def private_share(self) -> float:
        """Private score as a fraction."""
        return share(self.private, self.mean)

    @property
    def accuracy(self) -> float:
        """Private score as it is published: of an adaptive run that of all planned items."""
        return self.adaptive.score if self.adaptive else self.private_share

    @property
    def public_share(self) -> float:
        """Public score as a fraction."""
        return share(self.public, self.public_mean)

    @property
    def private_range(self) -> tuple[OutcomeCounts, OutcomeCounts]:
        """Private counts with the fewest and the most right answers that the score may stand for.

        Both are the counts themselves where the score is exact.
        """
        fewer = min(self.within, self.private.right)
        more = min(self.within, self.private.wrong)
        return self.private.moved(-fewer), self.private.moved(more)

    def asked_by_plan(self, result: AdaptiveResult | None) -> Self:
        """Return the entry without the facts that a part of its items would distort; as it is
        without the ``result`` of a plan."""
        if result is None:
            return self
        return replace(self, outcomes=b"", graders=(), prior_exposure=None, adaptive=result)


def matrix(entries: Sequence[Entry]) -> tuple[Floats, Floats]:
    """Return public and private outcomes, (models, items) each.

    1 is right, 0 is not, the share of right samples lies between; NaN is not asked or no longer
    counted.
    """
    public = []
    private = []
    for entry in entries:
        on_public = values(entry.public_outcomes, entry.public_samples_right, entry.public_mean)
        on_private = values(entry.outcomes, entry.samples_right, entry.mean)
        public.append(on_public)
        private.append(on_private)
    return np.array(public), np.array(private)


def values(outcomes: bytes, samples_right: bytes = b"", mean: SampleMean | None = None) -> Floats:
    """Return outcomes, one byte an item, as numbers: 1, 0, a share or NaN as in :func:`matrix`."""
    single = _VALUES[np.frombuffer(outcomes, np.uint8)]
    if mean is None:
        return single
    shares = np.frombuffer(samples_right, np.uint8) / mean.samples
    return np.where(np.isnan(single), single, shares)


LATER_FIELDS = (
    "within", "trained_on_public", "later", "replaced", "lineage_runs", "tokens", "adaptive",
    "staged", "prior_exposure", "samples_right", "public_samples_right", "mean", "public_mean",
)  # fmt: skip
"""Fields that came later. Hashes from before stay as they are, so empty ones are not hashed."""


def facts(entry: Entry) -> dict[str, Any]:
    """Return what is hashed of an entry: all fields, outcomes by their digests.

    The names are part of the hash of stored verdicts and rankings.
    """
    fields = asdict(entry)
    for name in LATER_FIELDS:
        if not fields[name]:
            del fields[name]
    for name in ("later", "replaced", "adaptive"):
        if name in fields:
            fields[name] = fields[name].to_dict()
    for name in ("samples_right", "public_samples_right"):
        if name in fields:
            fields[name] = sha256(fields[name]).hexdigest()
    for name in ("mean", "public_mean"):
        if name in fields:
            del fields[name]["pass_at"]  # follows from the right samples, whose digest is hashed
    if entry.staged:
        outcomes = b"".join(entry.staged.outcomes)
        seen = b"".join(entry.staged.seen)
        fields["staged"]["outcomes"] = sha256(outcomes).hexdigest()
        fields["staged"]["seen"] = sha256(seen).hexdigest()
    return fields | {
        "public": entry.public.to_dict(),
        "private": entry.private.to_dict(),
        "outcomes": sha256(entry.outcomes).hexdigest(),
        "public_outcomes": sha256(entry.public_outcomes).hexdigest(),
        "judged": entry.judged and entry.judged.to_dict(),
        "likelihood": entry.likelihood and entry.likelihood.to_dict(),
    }


@dataclass(frozen=True)
class ItemOutcomes:
    """Outcomes of a run on both sets, one byte an item, 0 for one that does not count."""

    public: bytes = field(repr=False)
    private: bytes = field(repr=False)


def item_outcomes(pair: SetPair, runs: Iterable[UUID]) -> dict[UUID, ItemOutcomes]:
    """Return the outcomes of those of ``runs`` that still count and are complete. Never shown."""
    counting = list(counting_runs(pair).filter(pk__in=list(runs)))
    manifest = pair.private.facts()
    gone = retired(manifest, pair.private.signed_notices()) if manifest else frozenset()
    stored = _complete_outcomes(pair, counting, gone)
    found = {}
    for run in counting:
        public = stored.get((run.pk, pair.public_id))
        private = stored.get((run.pk, pair.private_id))
        if public and private:
            on_public = public.item_outcomes(frozenset())
            on_private = private.item_outcomes(gone)
            found[run.pk] = ItemOutcomes(on_public, on_private)
    return found


def of_runs(pair: SetPair, runs: Iterable[UUID]) -> tuple[Entry, ...]:
    """Return the entries of those of ``runs`` that still count, in the order of their keys."""
    counting = counting_runs(pair).filter(pk__in=list(runs)).order_by("pk")
    return tuple(entries_of(pair, counting))


def counting_runs(pair: SetPair) -> QuerySet[Run]:
    """Return the graded runs on ``pair`` that count; runs by another protocol do not."""
    runs = Run.objects.filter(
        submission__pair=pair,
        submission__protocol="",
        state__in=_COMPLETE,
        retracted=False,
        post_release=False,
        same_as=None,
    )
    return runs.select_related(
        "submission__model__organisation", "submission__model__lineage", "submission__statements"
    )


@dataclass(frozen=True)
class _PrivateSet:
    """Facts of a private set that the counts of its runs depend on.

    ``exposed`` and ``local`` are the items of these strata that count, bit i for item i. Sets
    without a manifest have no history.
    """

    retired: frozenset[int]
    version: int
    exposed: int = 0
    local: int = 0
    history: ExposureHistory | None = None

    @classmethod
    def of_pair(cls, pair: SetPair) -> Self:
        """Read the facts of a pair's private set, and who was shown what of it."""
        manifest = pair.private.facts()
        notices = pair.private.signed_notices()
        if manifest is None:
            return cls(frozenset(), len(notices))
        gone = retired(manifest, notices)
        return cls(
            retired=gone,
            version=len(notices),
            exposed=_bits_of_stratum(manifest, "exposed", gone),
            local=_bits_of_stratum(manifest, "local", gone),
            history=ExposureHistory.of_set(manifest),
        )

    def strata(self, run: Run, private: PackedOutcomes) -> Strata | None:
        """Return the counts of weights on items that endpoints had been shown, and on local ones.

        Only parts count of which endpoints had been shown every item before the run started:
        no other item can have leaked into its weights. None where there is no such part, or where
        either side may not be published. The items that count of a part change in steps (ADR 15).
        """
        if self.history is None:
            return None
        if run.tier != "T0" or run.submission.is_endpoint:
            return None
        started = run.started_at or run.queued_at
        shown = self.history.parts_shown(started, self.exposed)
        if not (shown and self.local):
            return None
        exposed = private.public_counts(self.history.all_but(shown))
        local = private.public_counts(self.history.all_but(self.local))
        if exposed is None or local is None or not (exposed.n and local.n):
            return None
        return Strata(exposed.right, exposed.n, local.right, local.n)

    def prior_exposure(self, run: Run, private: PackedOutcomes) -> RunExposure | None:
        """Return the prior exposure of an endpoint's provider; None for weights."""
        if self.history is None or not run.submission.is_endpoint:
            return None
        items = _items_of(private.item_outcomes(self.retired))
        return self.history.of_run(run.pk, items, private.public_counts)


def _bits_of_stratum(manifest: Manifest, stratum: Stratum, retired: frozenset[int]) -> int:
    blocks = manifest.block_ids((stratum,))
    items = manifest.indices(blocks) - retired
    return sum(1 << index for index in items)


def entries_of(pair: SetPair, queryset: QuerySet[Run]) -> Iterator[Entry]:
    """Yield the entries of those runs whose outcomes are complete and may be published."""
    runs = list(queryset)
    private_set = _PrivateSet.of_pair(pair)
    outcomes = _complete_outcomes(pair, runs, private_set.retired)
    published = _published_in_steps(pair, runs, private_set.retired)
    by_grader = _counts_by_grader(pair, runs, private_set.retired)
    keys = [run.pk for run in runs]
    judged = Verdict.objects.of_runs(keys, grader=pair.board_grader)
    # Runs that no longer count are tries too.
    complete = Run.objects.filter(
        submission__pair=pair, submission__protocol="", state__in=_COMPLETE
    )
    by_model = complete.values_list("submission__model").order_by()
    tries = dict(by_model.annotate(Count("pk")))
    results = _adaptive_results(runs)
    staged = _staged_runs(pair, runs, private_set)
    for run in runs:
        public = outcomes.get((run.pk, pair.public_id))
        private = outcomes.get((run.pk, pair.private_id))
        if public is None or private is None:
            continue
        public_counts = public.public_counts()
        private_counts = private.public_counts(private_set.retired, published)
        if public_counts is None or private_counts is None or not private_counts.n:
            continue
        model = run.submission.model
        entry = Entry(
            model=model.name,
            organisation=model.organisation.name,
            access=ACCESS[Submission.Kind(run.submission.kind)],
            run=str(run.pk),
            public=public_counts.by_outcome,
            private=private_counts.by_outcome,
            tier=cast("Tier", run.tier),
            version=private_set.version,
            outcomes=b"" if private.in_steps else private.item_outcomes(private_set.retired),
            public_outcomes=public.item_outcomes(frozenset()),
            samples_right=private.samples_right_of_items,
            public_samples_right=public.samples_right_of_items,
            mean=private_counts.mean,
            public_mean=public_counts.mean,
            family=model.lineage.name if model.lineage else "",
            parameters=model.parameters,
            tokens=run.tokens_per_item,
            open_weights=model.open_weights,
            protocol=pair.protocol,
            grader=pair.board_grader,
            tries=tries.get(model.pk, 1),
            ended=run.ended_at.date().isoformat() if run.ended_at else "",
            judged=judged.get(run.pk),
            likelihood=_likelihoods(public, private),
            # A mean is of one grader's outcomes: the others' counts are of majorities.
            graders=() if private_counts.mean else by_grader.get(run.pk, ()),
            strata=private_set.strata(run, private),
            prior_exposure=private_set.prior_exposure(run, private),
            staged=staged.get(run.pk),
            within=private_counts.within,
            trained_on_public=trained_on_public(run.submission),
        )
        yield entry.asked_by_plan(results.get(run.pk))


def _adaptive_results(runs: Sequence[Run]) -> dict[UUID, AdaptiveResult]:
    """Return by run the results of those that were asked by a plan."""
    plans = RunPlan.objects.filter(run__in=runs, result__isnull=False)
    return {plan.run_id: AdaptiveResult.from_dict(plan.result) for plan in plans}


def _staged_runs(
    pair: SetPair, runs: Iterable[Run], private_set: _PrivateSet
) -> dict[UUID, StagedRuns]:
    """Return the history of each listed endpoint: its model's runs until this one.

    Only runs of the same provider, which are exact, complete, by the board's grader, and were not
    asked by a plan.
    """
    history = private_set.history
    models = {run.submission.model_id for run in runs if run.tier == STAGED_TIER}
    if history is None or not models:
        return {}
    listed = counting_runs(pair).filter(tier=STAGED_TIER, submission__model__in=models)
    every = list(listed.order_by("queued_at", "pk"))
    outcomes = _complete_outcomes(pair, every, private_set.retired)
    planned = _adaptive_results(every)
    earlier: dict[tuple[int, str], dict[UUID, bytes]] = {}
    staged: dict[UUID, StagedRuns] = {}
    for run in every:
        private = outcomes.get((run.pk, pair.private_id))
        if private is None or run.pk in planned:
            continue
        system = (run.submission.model_id, recipient_of(run.submission))
        until = earlier.setdefault(system, {})
        until[run.pk] = private.item_outcomes(private_set.retired)
        found = StagedRuns.of_history(history, until)
        if found is not None:
            staged[run.pk] = found
    return staged


def _published_in_steps(
    pair: SetPair, runs: Iterable[Run], gone: frozenset[int]
) -> Mapping[UUID, PublishedScore]:
    """Return the scores in steps, which are read only if one of ``runs`` has one."""
    if all(run.tier in EXACT_TIERS for run in runs):
        return {}
    return published_in_steps(pair, gone, pair.ranked_by)


def _complete_outcomes(
    pair: SetPair, runs: Sequence[Run], gone: frozenset[int]
) -> dict[tuple[UUID, int], PackedOutcomes]:
    """Return the complete outcomes by run and set, all of one grader.

    It is the grader of the runs, or the one that the board was switched to.
    """
    if not pair.ranked_by:
        stored = RunOutcomes.objects.filter(run__in=runs).select_related("item_set", "run")
        return {(row.run_id, row.item_set_id): row for row in stored if row.is_complete}
    orders = Rescoring.objects.newest(runs, pair.ranked_by)
    run_of = {order.pk: run for run, order in orders.items()}
    rescored = RescoredOutcomes.objects.filter(rescoring__in=run_of)
    rescored = rescored.select_related("item_set", "rescoring__run")
    complete: dict[tuple[UUID, int], PackedOutcomes] = {}
    for row in rescored:
        retired_items = gone if row.item_set_id == pair.private_id else frozenset()
        if row.covers(retired_items):
            run = run_of[row.rescoring_id]
            complete[run, row.item_set_id] = row
    return complete


def _counts_by_grader(
    pair: SetPair, runs: Sequence[Run], gone: frozenset[int]
) -> dict[UUID, tuple[Graded, ...]]:
    """Return the counts of every grader by run, where they are known and may be published.

    Once items are retired none are: the counts of those items cannot be subtracted.
    """
    if gone:
        return {}
    graded: dict[UUID, tuple[Graded, ...]] = {}
    for run, comparisons in compare_graders(runs, headline=pair.grader).items():
        by_grader: dict[str, dict[str, tuple[int, int]]] = {}
        for row in comparisons:
            if row.counts is not None:
                by_set = by_grader.setdefault(row.grader, {})
                by_set[row.set] = (row.counts.right, row.n)
        on_both_sets = []
        for grader, by_set in by_grader.items():
            public = by_set.get(pair.public.name)
            private = by_set.get(pair.private.name)
            if public and private:
                on_both_sets.append(Graded(grader, *public, *private))
        graded[run] = tuple(on_both_sets)
    return graded


def _likelihoods(public: PackedOutcomes, private: PackedOutcomes) -> Likelihoods | None:
    """Return the likelihoods of both sets if they were measured alike; a rescoring has none."""
    if not isinstance(public, RunOutcomes) or not isinstance(private, RunOutcomes):
        return None
    of_public = public.measured_likelihood
    of_private = private.measured_likelihood
    if of_public is None or of_private is None:
        return None
    if of_public.definition != of_private.definition:
        return None
    return Likelihoods(
        definition=of_public.definition, public=_likely(of_public), private=_likely(of_private)
    )


def _likely(measured: SetLikelihood) -> Likely:
    return Likely(
        per_character=measured.per_character,
        standard_error=measured.standard_error,
        n=measured.n,
    )
