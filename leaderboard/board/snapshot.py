"""From complete runs to a finished ranking of what we ran."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isnan
from typing import Any

import numpy as np
from msgspec.structs import replace

from evaluator.contract import OutcomeCounts, canonical_json
from evaluator.policy import JAIL_TIER
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import likelihoods
from leaderboard.board.models import Snapshot
from leaderboard.board.rows import GraderScore, PassAtK, Row, Score
from leaderboard.evidence import statistics
from leaderboard.evidence.entries import (
    LEVEL,
    Entry,
    Graded,
    StagedRuns,
    Strata,
    effective,
    facts,
    matrix,
    share,
    values,
)
from leaderboard.evidence.leaks import (
    LeakContrast,
    PriorExposure,
    PriorExposureContrast,
    StagedContrast,
)
from leaderboard.evidence.model_runs import published
from leaderboard.evidence.models import (
    AdaptiveResult,
    Adjusted,
    BoardPanel,
    Cohort,
    Judged,
)
from leaderboard.evidence.noise import noise_floor
from leaderboard.evidence.prior_exposure import RunExposure
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.statistics import intervals
from leaderboard.evidence.statistics.logits import Floats
from leaderboard.evidence.summaries import (
    DecidedBy,
    FamilyLine,
    Likelihood,
    PooledGap,
    SurestGap,
)
from leaderboard.evidence.vocabulary import Evidence, Levels
from leaderboard.submissions.models import PassAt, SampleMean

METHOD = "board-11"
"""Names everything below that turns counts into rows; a change of the rows for equal counts needs a
new name."""
FEWEST_POOLED = 3
"""Members that a family needs for an interval of its mean."""
FEWEST_SHARED = 50
"""Items of a set that all members of a family were asked, below which they say nothing about shared
errors."""
MOST_SUREST = 3
SEED = 20240501
"""Of the draws behind the rank sets, so that equal inputs give equal rows."""


@dataclass(frozen=True)
class Draft:
    """A ranking that is computed and not yet saved."""

    rows: tuple[Row, ...]
    panel: BoardPanel | None
    families: tuple[FamilyLine, ...]
    likelihood: Likelihood | None
    inputs_hash: str
    decided: tuple[DecidedBy, ...] = ()
    surest: tuple[SurestGap, ...] = ()

    def save(self, pair: SetPair) -> Snapshot:
        """Write it down as the newest snapshot of ``pair``."""
        return Snapshot.objects.write(
            self.rows,
            pair=pair,
            inputs_hash=self.inputs_hash,
            method=METHOD,
            panel=self.panel and self.panel.to_dict(),
            families=[family.to_dict() for family in self.families],
            likelihood=self.likelihood and self.likelihood.to_dict(),
            decided=[one.to_dict() for one in self.decided],
            surest=[one.to_dict() for one in self.surest],
        )


def rank(entries: Sequence[Entry]) -> tuple[Row, ...]:
    """Return the rows of a ranking, best private score first; ties by the models' names."""
    scored = [(entry, _private_score(entry)) for entry in entries]
    scored.sort(key=lambda pair: (-pair[1].accuracy, pair[0].model))
    ordered = [entry for entry, _ in scored]
    scores = [score for _, score in scored]
    places = _beyond_noise(_places(ordered, scores), [score.accuracy for score in scores])
    public = sorted((entry.public_share for entry in ordered), reverse=True)
    first = {share: place for place, share in reversed(list(enumerate(public, start=1)))}
    staged = _staged(ordered)
    rows = [
        _row(entry, private, place, first[entry.public_share], staged)
        for entry, private, place in zip(ordered, scores, places, strict=True)
    ]
    return tuple(_with_corrections(rows))


def _with_corrections(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows with their p-values after each correction over all that were tested."""
    p_values = [row.judged.p for row in rows if row.judged and row.judged.p is not None]
    holm = iter(statistics.holm(p_values).tolist())
    fdr = iter(statistics.benjamini_hochberg(p_values).tolist())
    for row in rows:
        if row.judged and row.judged.p is not None:
            yield replace(row, holm=next(holm), benjamini_hochberg=next(fdr))
        else:
            yield row


def decided_by(rows: Iterable[Row]) -> tuple[DecidedBy, ...]:
    """Return the methods and thresholds that decided the rows, that of most rows first."""
    groups: dict[tuple[str, Levels], list[Judged]] = {}
    for row in rows:
        if row.judged:
            groups.setdefault((row.judged.method, row.judged.levels), []).append(row.judged)
    decided = [
        DecidedBy(
            method=method,
            levels=levels,
            rows=len(group),
            tested=sum(judged.p is not None for judged in group),
        )
        for (method, levels), group in groups.items()
    ]
    return tuple(sorted(decided, key=lambda one: (-one.rows, one.method)))


def surest_gaps(rows: Iterable[Row]) -> tuple[SurestGap, ...]:
    """Return the overfit models with the surest gaps: by the lower ends of the shrunken ones.

    All tested rows take part in the shrinkage, with the gaps that were tested.
    """
    tested = [(row, row.judged) for row in rows if row.judged and row.judged.p is not None]
    z = intervals.critical_value(LEVEL)
    gaps = []
    errors = []
    for row, judged in tested:
        low, high = judged.gap_interval or row.interval
        gaps.append(judged.adjusted.gap if judged.gap_interval and judged.adjusted else row.gap)
        errors.append((high - low) / (2 * z))
    estimates = statistics.shrunken(gaps, errors)
    overfit = sorted(
        (z * estimate.se - estimate.gap, row.model, estimate.gap)
        for estimate, (row, judged) in zip(estimates, tested, strict=False)
        if judged.evidence == Evidence.OVERFIT and not judged.first
    )
    return tuple(SurestGap(model=model, gap=gap) for _, model, gap in overfit[:MOST_SUREST])


def _places(entries: Sequence[Entry], scores: Sequence[Score]) -> list[statistics.Standing]:
    """Return the standing of each: from the items that two models share, or by overlapping
    intervals where only counts are known of one.

    A rank is by the whole score; it belongs to its range also where models were asked different
    blocks.
    """
    intervals = [statistics.Interval(*score.interval) for score in scores]
    places = statistics.standings([score.accuracy for score in scores], intervals)
    by_items = [at for at, entry in enumerate(entries) if entry.outcomes]
    if not by_items:
        return places
    _, private = matrix([entries[at] for at in by_items])
    others = [interval for at, interval in enumerate(intervals) if not entries[at].outcomes]
    for at, held in zip(by_items, statistics.rank_sets(private, LEVEL, SEED), strict=True):
        above = sum(other.low > intervals[at].high for other in others)
        not_below = sum(other.high >= intervals[at].low for other in others)
        rank = places[at].rank
        low, high = held.low + above, held.high + not_below
        places[at] = statistics.Standing(rank, min(rank, low), max(rank, high))
    return places


def _beyond_noise(
    places: Sequence[statistics.Standing], shares: Sequence[float]
) -> list[statistics.Standing]:
    """No two models stand apart that differ by less than the same weights do from themselves."""
    floor, ascending = noise_floor().floor, np.sort(shares)
    better = len(shares) - np.searchsorted(ascending, np.asarray(shares) + floor, side="left")
    worse = np.searchsorted(ascending, np.asarray(shares) - floor, side="right")
    return [
        statistics.Standing(
            place.rank, min(place.best, 1 + int(above)), max(place.worst, len(shares) - int(below))
        )
        for place, above, below in zip(places, better, worse, strict=True)
    ]


def _score(counts: OutcomeCounts, mean: SampleMean | None) -> Score:
    right, _, n = effective(counts, mean)
    return Score(
        **counts.to_dict(),
        accuracy=share(counts, mean),
        interval=statistics.accuracy_interval(right, n, LEVEL),
        samples=mean.samples if mean else 1,
        samples_right=mean.right if mean else None,
        standard_error=mean.error if mean else None,
        pass_at=tuple(_pass_at(tries, mean, counts.n) for tries in mean.pass_at) if mean else (),
    )


def _pass_at(tries: PassAt, mean: SampleMean, items: int) -> PassAtK:
    interval = statistics.clustered_interval(
        tries.value, tries.error, items=items, samples=mean.samples, level=LEVEL
    )
    return PassAtK(k=tries.k, value=tries.value, interval=interval)


def _private_score(entry: Entry) -> Score:
    """Return the private score.

    The interval of one in steps is that of all it may stand for. That of an adaptive run is linked
    from the items it was asked to all of them.
    """
    score = _score(entry.private, entry.mean)
    if entry.adaptive:
        return replace(score, accuracy=entry.accuracy, interval=entry.adaptive.score_interval)
    fewest, most = (_score(counts, entry.mean) for counts in entry.private_range)
    return replace(score, interval=(fewest.interval[0], most.interval[1]))


def _gap_interval(entry: Entry) -> statistics.Interval:
    """Return the interval of the gap, over all private scores that the published one stands for."""
    public = effective(entry.public, entry.public_mean)
    if entry.adaptive:
        of_public = statistics.accuracy_interval(public.right, public.n, LEVEL)
        linked = statistics.Interval(*entry.adaptive.score_interval)
        return statistics.joined(public.right / public.n, of_public, entry.adaptive.score, linked)
    fewest, most = (effective(counts, entry.mean) for counts in entry.private_range)
    least = statistics.newcombe(public.right, public.n, most.right, most.n, LEVEL)
    greatest = statistics.newcombe(public.right, public.n, fewest.right, fewest.n, LEVEL)
    return statistics.Interval(least.low, greatest.high)


def _worst_gap(entry: Entry) -> tuple[float, float]:
    """Return the gaps between which truncated answers could move it, by the same private scores."""
    if entry.adaptive:
        return _worst_linked_gap(entry.public, entry.adaptive)
    public = effective(entry.public, entry.public_mean)
    fewest, most = (effective(counts, entry.mean) for counts in entry.private_range)
    least, _ = statistics.worst_case_gap(public, most)
    _, greatest = statistics.worst_case_gap(public, fewest)
    return least, greatest


def _worst_linked_gap(public: OutcomeCounts, linked: AdaptiveResult) -> tuple[float, float]:
    """Return the gap of a linked score, moved by the truncated public answers alone."""
    gap = public.right / public.n - linked.score
    return gap, gap + public.truncated / public.n


def _row(
    entry: Entry,
    private: Score,
    place: statistics.Standing,
    public_rank: int,
    staged: Mapping[str, StagedContrast],
) -> Row:
    public = _score(entry.public, entry.public_mean)
    gap = _gap_interval(entry)
    return Row(
        model=entry.model,
        organisation=entry.organisation,
        family=entry.family,
        parameters=entry.parameters,
        tokens=entry.tokens,
        open_weights=entry.open_weights,
        access=entry.access,
        protocol=entry.protocol,
        grader=entry.grader,
        tries=entry.tries,
        ended=entry.ended,
        run=entry.run,
        rank=place.rank,
        rank_range=(place.best, place.worst),
        public_rank=public_rank,
        private=private,
        public=public,
        gap=public.accuracy - private.accuracy,
        interval=gap,
        worst=_worst_gap(entry),
        smallest_visible_gap=max(statistics.smallest_visible_gap(gap, LEVEL), noise_floor().floor),
        evidence=entry.judged.evidence if entry.judged else Evidence.PENDING,
        judged=entry.judged,
        tier=entry.tier,
        version=entry.version,
        likelihood=entry.likelihood,
        graders=tuple(_graded(one) for one in entry.graders),
        within=entry.within,
        trained_on_public=entry.trained_on_public,
        later=entry.later,
        replaced=entry.replaced,
        lineage_runs=entry.lineage_runs,
        adaptive=entry.judged.adaptive if entry.judged else None,
        leak=_leak(entry.strata) if entry.strata else None,
        prior_exposure=_prior_exposure(entry.prior_exposure, staged.get(entry.run)),
    )


def _leak(found: Strata) -> LeakContrast:
    test = _test((found.exposed_right, found.exposed_n), (found.local_right, found.local_n))
    return LeakContrast(**asdict(found), **test)


def _staged(entries: Sequence[Entry]) -> dict[str, StagedContrast]:
    """Return the contrasts of endpoints over all their runs.

    Items are as easy as weights that run here find them.
    """
    endpoints = [entry for entry in entries if entry.staged]
    if not endpoints:
        return {}
    weights = [entry for entry in entries if entry.tier == JAIL_TIER and entry.outcomes]
    easy = statistics.easiness(matrix(weights)[1]) if weights else None
    return {entry.run: _staged_contrast(entry.staged, easy) for entry in endpoints if entry.staged}


def _staged_contrast(runs: StagedRuns, easy: Floats | None) -> StagedContrast:
    found = statistics.staged_leak(
        np.array([values(outcomes) for outcomes in runs.outcomes]),
        np.array([np.frombuffer(seen, np.uint8) > 0 for seen in runs.seen]),
        easy,
        compared=runs.compared,
        comparisons=runs.comparisons,
        level=LEVEL,
    )
    return StagedContrast(
        runs=len(runs.outcomes),
        comparisons=runs.comparisons,
        share=found.share,
        interval=found.interval,
        p=found.p,
        visible=found.visible if found.visible < 1 else None,
    )


def _prior_exposure(
    found: RunExposure | None, staged: StagedContrast | None
) -> PriorExposure | None:
    if found is None:
        return None
    sides, contrast = found.sides, None
    if sides:
        test = _test((sides.seen_right, sides.seen_n), (sides.fresh_right, sides.fresh_n))
        contrast = PriorExposureContrast(**asdict(sides), **test)
    return PriorExposure(
        extent=found.extent,
        before=found.before,
        fresh=found.fresh,
        since=found.since,
        contrast=contrast,
        stages=found.stages,
        staged=staged,
        run=found.run,
        items=found.items,
    )


def _test(shown: tuple[int, int], unseen: tuple[int, int]) -> dict[str, Any]:
    one = statistics.leak_contrast(shown, unseen, LEVEL)
    visible = None if isnan(one.visible) else one.visible
    return {"difference": one.difference, "interval": one.interval, "p": one.p, "visible": visible}


def _graded(one: Graded) -> GraderScore:
    public, private = one.public_right / one.public_n, one.private_right / one.private_n
    return GraderScore(**asdict(one), gap=public - private)


def build(pair: SetPair) -> Draft:
    """Rank the first official run of every model that was asked ``pair``."""
    entries = published(pair)
    panel = _panel(pair)
    rows = rank(entries)
    likelihood = likelihoods.of_rows(rows)
    return Draft(
        rows=rows,
        panel=panel,
        families=families(entries, compared=bool(panel and panel.compares)),
        likelihood=likelihood,
        decided=decided_by(rows),
        surest=surest_gaps(rows),
        inputs_hash=_hash(pair, entries, panel),
    )


def recompute(snapshot: Snapshot) -> bool | None:
    """Return True if a pair's newest ranking is reproduced bit for bit; ``None`` where they
    are others now."""
    draft = build(snapshot.pair)
    if (draft.inputs_hash, METHOD) != (snapshot.inputs_hash, snapshot.method):
        return None
    made = (
        draft.rows, draft.panel, draft.families, draft.likelihood, draft.decided, draft.surest,
    )  # fmt: skip
    return made == (
        snapshot.ranking(), snapshot.facts(), snapshot.pooled(), snapshot.association(),
        snapshot.decided_by(), snapshot.surest_gaps(),
    )  # fmt: skip


def families(entries: Sequence[Entry], *, compared: bool) -> tuple[FamilyLine, ...]:
    """Return the mean gap of each lineage, the largest first: random effects with the errors that
    its members share.

    Where models are ``compared`` with references, adjusted gaps are pooled, and members without
    one are left out. Scores in steps and adaptive runs always are.
    """
    members: dict[str, list[Entry]] = {}
    for entry in entries:
        counts = _adjusted(entry) is not None if compared else not entry.step
        if entry.family and counts and not entry.adaptive:
            members.setdefault(entry.family, []).append(entry)
    pooled = sum(len(own) >= FEWEST_POOLED for own in members.values())
    lines = [_family(family, own, pooled, compared) for family, own in members.items()]
    return tuple(sorted(lines, key=lambda line: (-(line.peers or line.raw).estimate, line.family)))


def _adjusted(entry: Entry) -> Adjusted | None:
    """Return the adjusted gap of an exact score that was compared with references, else None."""
    judged = entry.judged
    return judged.adjusted if judged and judged.basis == "panel" and not entry.step else None


def _family(family: str, own: Sequence[Entry], pooled: int, compared: bool) -> FamilyLine:
    gaps = [one.public_share - one.private_share for one in own]
    raw = _pooled(gaps, _covariance(own), pooled)
    peers = None
    if compared:
        adjusted = [gap for one in own if (gap := _adjusted(one))]
        gaps = [gap.gap for gap in adjusted]
        peers = _pooled(gaps, _adjusted_covariance(adjusted), pooled)
    return FamilyLine(
        family=family,
        members=len(own),
        higher=sum(gap > 0 for gap in gaps),
        p_sign=statistics.sign_test(gaps),
        raw=raw,
        peers=peers,
    )


def _pooled(gaps: Sequence[float], covariance: Floats, families: int) -> PooledGap:
    """Return a mean gap; ``above`` is by the interval that so many ``families`` together need."""
    mean = statistics.family_gap(gaps, covariance, LEVEL)
    wide = statistics.family_gap(gaps, covariance, 1 - (1 - LEVEL) / max(families, 1)).interval
    return PooledGap(
        estimate=mean.estimate,
        interval=mean.interval,
        prediction=mean.prediction,
        i2=mean.i2,
        above=wide is not None and wide.low > 0,
    )


def _adjusted_covariance(gaps: Sequence[Adjusted]) -> Floats:
    """Return the covariance of adjusted gaps, from the widths of their intervals.

    A verdict does not state how the errors of two models go together, so they correlate as in
    tables without items. They have the references' error in common as well as the items.
    """
    reach = 2 * intervals.critical_value(LEVEL)
    errors = [(high - low) / reach for low, high in (gap.interval for gap in gaps)]
    return statistics_of_counts.with_shared_errors(np.square(errors))


def _covariance(own: Sequence[Entry]) -> Floats:
    """From the items that all members were asked; where these are too few, as if each had items of
    its own."""
    if all(one.outcomes and one.public_outcomes for one in own):
        sides = [side[:, np.isfinite(side).all(axis=0)] for side in matrix(own)]
        if min(side.shape[1] for side in sides) >= FEWEST_SHARED:
            return statistics.shared_covariance(*sides) + 1e-9 * np.eye(len(own))
    sides_of = []
    for one in own:
        public = effective(one.public, one.public_mean)
        private = effective(one.private, one.mean)
        sides_of.append(statistics.Sides(public.right, public.n, private.right, private.n))
    return statistics_of_counts.gap_covariance(sides_of)


def _panel(pair: SetPair) -> BoardPanel | None:
    """Return the panel of the newest cohort; None before the first close."""
    cohort = Cohort.objects.filter(pair=pair, grader=pair.board_grader).order_by("pk").last()
    return cohort.facts() if cohort else None


def _hash(pair: SetPair, entries: Iterable[Entry], panel: BoardPanel | None) -> str:
    inputs = {
        "method": METHOD,
        "pair": pair.slug,
        "grader": pair.board_grader,
        "sets": [pair.public.digest, pair.private.digest],
        "panel": panel and panel.to_dict(),
        "noise_floor": noise_floor().floor,
        "runs": sorted((facts(entry) for entry in entries), key=lambda entry: str(entry["model"])),
    }
    return sha256(canonical_json(inputs)).hexdigest()
