"""From counts in the database to a finished ranking of what we ran."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

import numpy as np

from evaluator.contract import Outcome, Tier, canonical_json
from evaluator.ledger.notices import retired
from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings import statistics
from leaderboard.rankings.models import ACCESS, Access, Likelihoods, Likely, Row, Score, Snapshot, noise_floor
from leaderboard.submissions.models import COUNTED, Run, RunOutcomes, Submission
from leaderboard.submissions.states import RunState

METHOD = "raw-newcombe-4"
"""Names everything below that turns counts into rows; a change of the rows for equal counts needs a new name."""
LEVEL = 0.95
SEED = 20240501
"""Of the draws behind the rank sets, so that equal inputs give equal rows."""
_VALUES = np.full(256, np.nan)
_VALUES[[outcome.value for outcome in COUNTED]] = 0.0
_VALUES[Outcome.RIGHT] = 1.0


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
    """A model's complete run: all that its row is made of.

    ``outcomes`` has a byte for each item of the private set, 0 for one that the model was not asked or that no longer
    counts; empty where only counts are known.
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
    likelihood: Likelihoods | None = None


@dataclass(frozen=True)
class Draft:
    """A ranking that is computed and not yet saved, and the graded runs that it took note of.

    A run that a newer one of the same model replaces is among ``graded`` too: it has had its turn.
    """

    rows: tuple[Row, ...]
    inputs_hash: str
    graded: tuple[UUID, ...]

    def save(self, pair: SetPair) -> Snapshot:
        """Write it down as the newest snapshot of ``pair``."""
        rows = [row.to_dict() for row in self.rows]
        return Snapshot.objects.create(pair=pair, inputs_hash=self.inputs_hash, method=METHOD, rows=rows)


def rank(entries: Sequence[Entry]) -> tuple[Row, ...]:
    """The rows of a ranking: best private score first, equal scores in order of the models' names."""
    ordered = sorted(entries, key=lambda entry: (-entry.private.right / entry.private.n, entry.model))
    scores = [_score(entry.private) for entry in ordered]
    places = _beyond_noise(_places(ordered, scores), [score.accuracy for score in scores])
    return tuple(_row(entry, private, place) for entry, private, place in zip(ordered, scores, places, strict=True))


def _places(entries: Sequence[Entry], scores: Sequence[Score]) -> list[statistics.Standing]:
    """Where each stands: from the items that two models share, or by overlapping intervals where only counts are known.

    A rank is by the whole score; it belongs to its range also where models were asked different blocks.
    """
    places = statistics.standings(
        [score.accuracy for score in scores], [statistics.Interval(*score.interval) for score in scores]
    )
    if not entries or not all(entry.outcomes for entry in entries):
        return places
    matrix = np.array([_VALUES[np.frombuffer(entry.outcomes, np.uint8)] for entry in entries])
    return [
        statistics.Standing(place.rank, min(place.rank, held.low), max(place.rank, held.high))
        for place, held in zip(places, statistics.rank_sets(matrix, LEVEL, SEED), strict=True)
    ]


def _beyond_noise(places: Sequence[statistics.Standing], shares: Sequence[float]) -> list[statistics.Standing]:
    """No two models stand apart that differ by less than the same weights do from themselves."""
    floor, ascending = noise_floor().floor, np.sort(shares)
    better = len(shares) - np.searchsorted(ascending, np.asarray(shares) + floor, side="left")
    worse = np.searchsorted(ascending, np.asarray(shares) - floor, side="right")
    return [
        statistics.Standing(place.rank, min(place.best, 1 + int(above)), max(place.worst, len(shares) - int(below)))
        for place, above, below in zip(places, better, worse, strict=True)
    ]


def _score(tally: Tally) -> Score:
    return Score(
        right=tally.right,
        n=tally.n,
        accuracy=tally.right / tally.n,
        interval=statistics.wilson(tally.right, tally.n, LEVEL),
        wrong=tally.wrong,
        no_answer=tally.no_answer,
        truncated=tally.truncated,
    )


def _row(entry: Entry, private: Score, place: statistics.Standing) -> Row:
    public = _score(entry.public)
    gap = statistics.newcombe(public.right, public.n, private.right, private.n, LEVEL)
    sides = [statistics.Counts(side.right, side.truncated, side.n) for side in (public, private)]
    return Row(
        model=entry.model,
        organisation=entry.organisation,
        access=entry.access,
        run=entry.run,
        rank=place.rank,
        rank_range=(place.best, place.worst),
        private=private,
        public=public,
        gap=public.accuracy - private.accuracy,
        interval=gap,
        smallest_visible_gap=max(statistics.smallest_visible_gap(gap, LEVEL), noise_floor().floor),
        evidence=statistics.judge(sides[0], sides[1], gap, LEVEL).value,
        tier=entry.tier,
        version=entry.version,
        likelihood=entry.likelihood,
    )


def build(pair: SetPair) -> Draft:
    """Gather the newest complete run of every model that was asked ``pair`` and rank them."""
    # Read first: a run that is graded after this moment belongs to the next ranking.
    graded = tuple(Run.objects.filter(submission__pair=pair, state=RunState.GRADED).values_list("pk", flat=True))
    entries = tuple(_entries(pair))
    return Draft(rows=rank(entries), inputs_hash=_hash(pair, entries), graded=graded)


def recompute(snapshot: Snapshot) -> bool | None:
    """Whether a pair's newest ranking comes out of its runs again, bit for bit; ``None`` where they are others now."""
    draft = build(snapshot.pair)
    if (draft.inputs_hash, METHOD) != (snapshot.inputs_hash, snapshot.method):
        return None
    return draft.rows == snapshot.ranking()


def _entries(pair: SetPair) -> Iterable[Entry]:
    """The newest run of each model, by when it was queued, among those with an outcome for every item."""
    newest = (
        Run.objects.filter(
            submission__pair=pair, state__in=(RunState.GRADED, RunState.RANKED), retracted=False, post_release=False
        )
        .select_related("submission__model__organisation")
        .order_by("submission__model", "-queued_at", "-pk")
        .distinct("submission__model")
    )
    manifest, notices = pair.private.facts(), pair.private.signed_notices()
    gone = retired(manifest, notices) if manifest and notices else frozenset()
    stored = RunOutcomes.objects.filter(run__in=list(newest)).select_related("item_set")
    counts = {(one.run_id, one.item_set_id): one for one in stored if one.is_complete}
    for run in newest:
        public, private = counts.get((run.pk, pair.public_id)), counts.get((run.pk, pair.private_id))
        if public is not None and private is not None:
            tallies = _tally(public, frozenset()), _tally(private, gone)
            if tallies[1].n:
                outcomes, likelihood = private.over(gone), _likelihood(public, private)
                yield _entry(run, *tallies, version=len(notices), outcomes=outcomes, likelihood=likelihood)


def _likelihood(*sides: RunOutcomes) -> Likelihoods | None:
    """Of the public and the private set, where both were read alike."""
    public, private = (side.read for side in sides)
    if public is None or private is None or public.definition != private.definition:
        return None
    found = [
        Likely(per_character=one.per_character, standard_error=one.standard_error, n=one.n) for one in (public, private)
    ]
    return Likelihoods(definition=public.definition, public=found[0], private=found[1])


def _entry(
    run: Run, public: Tally, private: Tally, *, version: int, outcomes: bytes, likelihood: Likelihoods | None
) -> Entry:
    submission = run.submission
    return Entry(
        model=submission.model.name,
        organisation=submission.model.organisation.name,
        access=ACCESS[Submission.Kind(submission.kind)],
        run=str(run.pk),
        public=public,
        private=private,
        tier=cast("Tier", run.tier),
        version=version,
        outcomes=outcomes,
        likelihood=likelihood,
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


def _hash(pair: SetPair, entries: Iterable[Entry]) -> str:
    inputs = {
        "method": METHOD,
        "pair": pair.slug,
        "sets": [pair.public.digest, pair.private.digest],
        "runs": sorted((_facts(entry) for entry in entries), key=lambda entry: str(entry["model"])),
    }
    return sha256(canonical_json(inputs)).hexdigest()


def _facts(entry: Entry) -> dict[str, Any]:
    likelihood = entry.likelihood and entry.likelihood.to_dict()
    return asdict(entry) | {"outcomes": sha256(entry.outcomes).hexdigest(), "likelihood": likelihood}
