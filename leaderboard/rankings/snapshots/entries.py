"""Complete runs as the rankings count them: all that a row and a verdict are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import numpy as np
from django.db.models import Count, QuerySet

from evaluator.contract import Outcome, Tier
from evaluator.ledger.notices import retired
from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings.models import ACCESS, Access, Judged, Likelihoods, Likely, Verdict
from leaderboard.rankings.statistics.logits import Floats
from leaderboard.submissions.models import COUNTED, Run, RunOutcomes, Submission
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
class Entry:
    """A model's complete run.

    ``outcomes`` and ``public_outcomes`` have a byte for each item of the private and of the public set, 0 for one that
    the model was not asked or that no longer counts; empty where only counts are known. ``family`` is its lineage,
    ``tries`` how many runs of the model on this pair are complete, ``ended`` the day of this one.
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
    tries: int = 1
    ended: str = ""
    judged: Judged | None = None
    likelihood: Likelihoods | None = None


def matrix(entries: Sequence[Entry]) -> tuple[Floats, Floats]:
    """Public and private outcomes, (models, items) each: 1 right, 0 not, NaN not asked or no longer counted."""
    sides = ([entry.public_outcomes for entry in entries], [entry.outcomes for entry in entries])
    public, private = (np.array([_VALUES[np.frombuffer(one, np.uint8)] for one in side]) for side in sides)
    return public, private


def facts(entry: Entry) -> dict[str, Any]:
    """What is hashed of an entry: everything, outcomes by their digests."""
    return asdict(entry) | {
        "outcomes": sha256(entry.outcomes).hexdigest(),
        "public_outcomes": sha256(entry.public_outcomes).hexdigest(),
        "judged": entry.judged and entry.judged.to_dict(),
        "likelihood": entry.likelihood and entry.likelihood.to_dict(),
    }


def newest(pair: SetPair) -> tuple[Entry, ...]:
    """The newest run of each model, by when it was queued, among those with an outcome for every item."""
    runs = _counting(pair).order_by("submission__model", "-queued_at", "-pk").distinct("submission__model")
    return tuple(_entries(pair, runs))


def of_runs(pair: SetPair, runs: Iterable[UUID]) -> tuple[Entry, ...]:
    """The entries of these runs, as far as they still count, in the order of the runs' keys."""
    return tuple(_entries(pair, _counting(pair).filter(pk__in=list(runs)).order_by("pk")))


def _counting(pair: SetPair) -> QuerySet[Run]:
    """Runs on ``pair`` that are graded and count. What another protocol came to is no score of the pair's own."""
    runs = Run.objects.filter(
        submission__pair=pair, submission__protocol="", state__in=_COMPLETE, retracted=False, post_release=False
    )
    return runs.select_related("submission__model__organisation", "submission__model__lineage")


def _entries(pair: SetPair, runs: QuerySet[Run]) -> Iterable[Entry]:
    manifest, notices = pair.private.facts(), pair.private.signed_notices()
    gone = retired(manifest, notices) if manifest and notices else frozenset()
    found = list(runs)
    stored = RunOutcomes.objects.filter(run__in=found).select_related("item_set")
    counts = {(one.run_id, one.item_set_id): one for one in stored if one.is_complete}
    judged = Verdict.objects.of_runs(run.pk for run in found)
    tries = _tries(pair)
    for run in found:
        public, private = counts.get((run.pk, pair.public_id)), counts.get((run.pk, pair.private_id))
        if public is not None and private is not None:
            tallies = _tally(public, frozenset()), _tally(private, gone)
            if tallies[1].n:
                yield _entry(
                    run,
                    *tallies,
                    version=len(notices),
                    outcomes=private.over(gone),
                    public_outcomes=public.over(frozenset()),
                    protocol=pair.protocol,
                    tries=tries.get(run.submission.model_id, 1),
                    judged=judged.get(run.pk),
                    likelihood=_likelihood(public, private),
                )


def _likelihood(*sides: RunOutcomes) -> Likelihoods | None:
    """Of the public and the private set, where both were read alike."""
    public, private = (side.read for side in sides)
    if public is None or private is None or public.definition != private.definition:
        return None
    found = [
        Likely(per_character=one.per_character, standard_error=one.standard_error, n=one.n) for one in (public, private)
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


def _tally(one: RunOutcomes, retired_items: frozenset[int]) -> Tally:
    """The counts over the items that still count."""
    counts = one.counts_over(retired_items)
    return Tally(
        n=counts.n,
        right=counts.right,
        wrong=counts.wrong,
        no_answer=counts.no_answer,
        truncated=counts.truncated,
    )
