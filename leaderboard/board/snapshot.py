"""From complete runs to a finished ranking of what we ran."""

from collections.abc import Iterable, Sequence
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
from leaderboard.submissions.models import SampleMean

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

    @classmethod
    def stored(cls, snapshot: Snapshot) -> "Draft":
        """Read the ranking that a snapshot was saved from."""
        return cls(
            rows=snapshot.ranking(),
            panel=snapshot.facts(),
            families=snapshot.pooled(),
            likelihood=snapshot.association(),
            inputs_hash=snapshot.inputs_hash,
            decided=snapshot.decided_by(),
            surest=snapshot.surest_gaps(),
        )

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
    standings = _within_noise(_standings(ordered, scores), scores)
    public_ranks: dict[float, int] = {}
    public_shares = sorted((entry.public_share for entry in ordered), reverse=True)
    for rank, public_share in enumerate(public_shares, start=1):
        public_ranks.setdefault(public_share, rank)
    staged = _staged_contrasts(ordered)
    rows = []
    for entry, private, standing in zip(ordered, scores, standings, strict=True):
        public_rank = public_ranks[entry.public_share]
        contrast = staged.get(entry.run)
        rows.append(_row(entry, private, standing, public_rank, contrast))
    # The p-values after each correction, over all rows that were tested.
    tested = []
    p_values = []
    for at, row in enumerate(rows):
        if row.judged and row.judged.p is not None:
            tested.append(at)
            p_values.append(row.judged.p)
    holm = statistics.holm(p_values).tolist()
    fdr = statistics.benjamini_hochberg(p_values).tolist()
    for at, by_holm, by_fdr in zip(tested, holm, fdr, strict=True):
        rows[at] = replace(rows[at], holm=by_holm, benjamini_hochberg=by_fdr)
    return tuple(rows)


def decided_by(rows: Iterable[Row]) -> tuple[DecidedBy, ...]:
    """Return the methods and thresholds that decided the rows, that of most rows first."""
    groups: dict[tuple[str, Levels], list[Judged]] = {}
    for row in rows:
        judged = row.judged
        if judged:
            group = groups.setdefault((judged.method, judged.levels), [])
            group.append(judged)
    decided = [
        DecidedBy(
            method=method,
            levels=levels,
            rows=len(group),
            tested=sum(judged.p is not None for judged in group),
        )
        for (method, levels), group in groups.items()
    ]
    decided.sort(key=lambda group: (-group.rows, group.method))
    return tuple(decided)


def surest_gaps(rows: Iterable[Row]) -> tuple[SurestGap, ...]:
    """Return the overfit models with the surest gaps: by the lower ends of the shrunken ones.

    All tested rows take part in the shrinkage, with the gaps that were tested.
    """
    tested = []
    for row in rows:
        if row.judged and row.judged.p is not None:
            tested.append((row, row.judged))
    z = intervals.critical_value(LEVEL)
    gaps = []
    errors = []
    for row, judged in tested:
        low, high = judged.gap_interval or row.interval
        adjusted = judged.adjusted if judged.gap_interval else None
        gaps.append(adjusted.gap if adjusted else row.gap)
        errors.append((high - low) / (2 * z))
    overfit = []
    estimates = statistics.shrunken(gaps, errors)
    for estimate, (row, judged) in zip(estimates, tested, strict=False):
        if judged.evidence == Evidence.OVERFIT and not judged.first:
            lower_end = estimate.gap - z * estimate.se
            overfit.append((-lower_end, row.model, estimate.gap))
    overfit.sort()
    surest = overfit[:MOST_SUREST]
    return tuple(SurestGap(model=model, gap=gap) for _, model, gap in surest)


def _standings(entries: Sequence[Entry], scores: Sequence[Score]) -> list[statistics.Standing]:
    """Return the standing of each: from the items that two models share, or by overlapping
    intervals where only counts are known of one.

    A rank is by the whole score; it belongs to its range also where models were asked different
    blocks.
    """
    intervals = [statistics.Interval(*score.interval) for score in scores]
    standings = statistics.standings([score.accuracy for score in scores], intervals)
    by_items = [at for at, entry in enumerate(entries) if entry.outcomes]
    if not by_items:
        return standings
    _, private = matrix([entries[at] for at in by_items])
    rank_sets = statistics.rank_sets(private, LEVEL, SEED)
    by_counts = [interval for at, interval in enumerate(intervals) if not entries[at].outcomes]
    for at, rank_set in zip(by_items, rank_sets, strict=True):
        own = intervals[at]
        above = sum(other.low > own.high for other in by_counts)
        not_below = sum(other.high >= own.low for other in by_counts)
        rank = standings[at].rank
        best = min(rank, rank_set.low + above)
        worst = max(rank, rank_set.high + not_below)
        standings[at] = statistics.Standing(rank, best, worst)
    return standings


def _within_noise(
    standings: Sequence[statistics.Standing], scores: Sequence[Score]
) -> list[statistics.Standing]:
    """Widen the ranges of ranks, so that no two models stand apart that differ by less than the
    same weights do from themselves."""
    floor = noise_floor().floor
    shares = np.asarray([score.accuracy for score in scores])
    ascending = np.sort(shares)
    better = len(shares) - np.searchsorted(ascending, shares + floor, side="left")
    worse = np.searchsorted(ascending, shares - floor, side="right")
    widened = []
    for at, standing in enumerate(standings):
        best = min(standing.best, 1 + int(better[at]))
        worst = max(standing.worst, len(shares) - int(worse[at]))
        widened.append(statistics.Standing(standing.rank, best, worst))
    return widened


def _score(counts: OutcomeCounts, mean: SampleMean | None) -> Score:
    right, _, n = effective(counts, mean)
    score = Score(
        **counts.to_dict(),
        accuracy=share(counts, mean),
        interval=statistics.accuracy_interval(right, n, LEVEL),
    )
    if mean is None:
        return score
    pass_at = []
    for tries in mean.pass_at:
        interval = statistics.clustered_interval(
            tries.value,
            tries.error,
            items=counts.n,
            samples=mean.samples,
            level=LEVEL,
        )
        pass_at_k = PassAtK(k=tries.k, value=tries.value, interval=interval)
        pass_at.append(pass_at_k)
    return replace(
        score,
        samples=mean.samples,
        samples_right=mean.right,
        standard_error=mean.error,
        pass_at=tuple(pass_at),
    )


def _private_score(entry: Entry) -> Score:
    """Return the private score.

    The interval of one in steps is that of all it may stand for. That of an adaptive run is linked
    from the items it was asked to all of them.
    """
    score = _score(entry.private, entry.mean)
    if entry.adaptive:
        return replace(score, accuracy=entry.accuracy, interval=entry.adaptive.score_interval)
    fewest, most = (_score(counts, entry.mean) for counts in entry.private_range)
    low, _ = fewest.interval
    _, high = most.interval
    return replace(score, interval=(low, high))


def _gap_ranges(entry: Entry) -> tuple[statistics.Interval, tuple[float, float]]:
    """Return the interval of the gap, and the gaps between which truncated answers could move it.

    Both are over all private scores that the published one stands for. A linked score stays as it
    is, so that the truncated public answers alone move its gap.
    """
    public = effective(entry.public, entry.public_mean)
    if entry.adaptive:
        of_public = statistics.accuracy_interval(public.right, public.n, LEVEL)
        linked = statistics.Interval(*entry.adaptive.score_interval)
        score = entry.adaptive.score
        interval = statistics.joined(public.right / public.n, of_public, score, linked)
        gap = entry.public.right / entry.public.n - score
        return interval, (gap, gap + entry.public.truncated / entry.public.n)
    fewest, most = (effective(counts, entry.mean) for counts in entry.private_range)
    lowest = statistics.newcombe(public.right, public.n, most.right, most.n, LEVEL)
    highest = statistics.newcombe(public.right, public.n, fewest.right, fewest.n, LEVEL)
    least, _ = statistics.worst_case_gap(public, most)
    _, greatest = statistics.worst_case_gap(public, fewest)
    return statistics.Interval(lowest.low, highest.high), (least, greatest)


def _row(
    entry: Entry,
    private: Score,
    standing: statistics.Standing,
    public_rank: int,
    staged: StagedContrast | None,
) -> Row:
    public = _score(entry.public, entry.public_mean)
    gap_interval, worst = _gap_ranges(entry)
    visible_gap = statistics.smallest_visible_gap(gap_interval, LEVEL)
    judged = entry.judged
    graders = []
    for graded in entry.graders:
        public_share = graded.public_right / graded.public_n
        private_share = graded.private_right / graded.private_n
        graders.append(GraderScore(**asdict(graded), gap=public_share - private_share))
    leak = None
    if entry.strata:
        exposed = (entry.strata.exposed_right, entry.strata.exposed_n)
        local = (entry.strata.local_right, entry.strata.local_n)
        leak = LeakContrast(**asdict(entry.strata), **_leak_test(exposed, local))
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
        rank=standing.rank,
        rank_range=(standing.best, standing.worst),
        public_rank=public_rank,
        private=private,
        public=public,
        gap=public.accuracy - private.accuracy,
        interval=gap_interval,
        worst=worst,
        smallest_visible_gap=max(visible_gap, noise_floor().floor),
        evidence=judged.evidence if judged else Evidence.PENDING,
        judged=judged,
        tier=entry.tier,
        version=entry.version,
        likelihood=entry.likelihood,
        graders=tuple(graders),
        within=entry.within,
        trained_on_public=entry.trained_on_public,
        later=entry.later,
        replaced=entry.replaced,
        lineage_runs=entry.lineage_runs,
        adaptive=judged.adaptive if judged else None,
        leak=leak,
        prior_exposure=_prior_exposure(entry.prior_exposure, staged),
    )


def _staged_contrasts(entries: Sequence[Entry]) -> dict[str, StagedContrast]:
    """Return the contrasts of endpoints over all their runs, by the run that ranks.

    Items are as easy as weights that run here find them.
    """
    endpoints = [(entry.run, entry.staged) for entry in entries if entry.staged]
    if not endpoints:
        return {}
    weights = [entry for entry in entries if entry.tier == JAIL_TIER and entry.outcomes]
    easiness = None
    if weights:
        _, private = matrix(weights)
        easiness = statistics.easiness(private)
    contrasts = {}
    for run, staged in endpoints:
        was_seen = [np.frombuffer(seen, np.uint8) > 0 for seen in staged.seen]
        leak = statistics.staged_leak(
            np.array([values(outcomes) for outcomes in staged.outcomes]),
            np.array(was_seen),
            easiness,
            compared=staged.compared,
            comparisons=staged.comparisons,
            level=LEVEL,
        )
        contrasts[run] = StagedContrast(
            runs=len(staged.outcomes),
            comparisons=staged.comparisons,
            share=leak.share,
            interval=leak.interval,
            p=leak.p,
            visible=leak.visible if leak.visible < 1 else None,
        )
    return contrasts


def _prior_exposure(
    exposure: RunExposure | None, staged: StagedContrast | None
) -> PriorExposure | None:
    if exposure is None:
        return None
    sides = exposure.sides
    contrast = None
    if sides:
        seen = (sides.seen_right, sides.seen_n)
        fresh = (sides.fresh_right, sides.fresh_n)
        contrast = PriorExposureContrast(**asdict(sides), **_leak_test(seen, fresh))
    return PriorExposure(
        extent=exposure.extent,
        before=exposure.before,
        fresh=exposure.fresh,
        since=exposure.since,
        contrast=contrast,
        stages=exposure.stages,
        staged=staged,
        run=exposure.run,
        items=exposure.items,
    )


def _leak_test(shown: tuple[int, int], unseen: tuple[int, int]) -> dict[str, Any]:
    """Return the fields that a contrast has of its test; both sides are right answers of items."""
    contrast = statistics.leak_contrast(shown, unseen, LEVEL)
    return {
        "difference": contrast.difference,
        "interval": contrast.interval,
        "p": contrast.p,
        "visible": None if isnan(contrast.visible) else contrast.visible,
    }


def build(pair: SetPair) -> Draft:
    """Rank the first official run of every model that was asked ``pair``."""
    entries = published(pair)
    cohorts = Cohort.objects.filter(pair=pair, grader=pair.board_grader)
    newest_cohort = cohorts.order_by("pk").last()
    panel = newest_cohort.facts() if newest_cohort else None
    runs = sorted(map(facts, entries), key=lambda run: str(run["model"]))
    inputs = {
        "method": METHOD,
        "pair": pair.slug,
        "grader": pair.board_grader,
        "sets": [pair.public.digest, pair.private.digest],
        "panel": panel and panel.to_dict(),
        "noise_floor": noise_floor().floor,
        "runs": runs,
    }
    rows = rank(entries)
    return Draft(
        rows=rows,
        panel=panel,
        families=families(entries, compared=bool(panel and panel.compares)),
        likelihood=likelihoods.of_rows(rows),
        decided=decided_by(rows),
        surest=surest_gaps(rows),
        inputs_hash=sha256(canonical_json(inputs)).hexdigest(),
    )


def recompute(snapshot: Snapshot) -> bool | None:
    """Return True if a pair's newest ranking is reproduced bit for bit; ``None`` where the inputs
    are others now."""
    draft = build(snapshot.pair)
    if (draft.inputs_hash, METHOD) != (snapshot.inputs_hash, snapshot.method):
        return None
    return draft == Draft.stored(snapshot)


def families(entries: Sequence[Entry], *, compared: bool) -> tuple[FamilyLine, ...]:
    """Return the mean gap of each lineage, the largest first: random effects with the errors that
    its members share.

    Where models are ``compared`` with references, adjusted gaps are pooled, and members without
    one are left out. Scores in steps and adaptive runs always are.
    """
    lineages: dict[str, list[Entry]] = {}
    for entry in entries:
        has_gap = _adjusted(entry) is not None if compared else not entry.step
        if entry.family and has_gap and not entry.adaptive:
            lineages.setdefault(entry.family, []).append(entry)
    pooled = sum(len(members) >= FEWEST_POOLED for members in lineages.values())
    lines = []
    for family, members in lineages.items():
        lines.append(_family(family, members, pooled, compared))
    lines.sort(key=lambda line: (-(line.peers or line.raw).estimate, line.family))
    return tuple(lines)


def _adjusted(entry: Entry) -> Adjusted | None:
    """Return the adjusted gap of an exact score that was compared with references, else None."""
    judged = entry.judged
    if judged is None or judged.basis != "panel" or entry.step:
        return None
    return judged.adjusted


def _family(family: str, members: Sequence[Entry], pooled: int, compared: bool) -> FamilyLine:
    """Return the mean gap of one lineage; ``pooled`` counts the lineages that have an interval."""
    gaps = [entry.public_share - entry.private_share for entry in members]
    raw = _pooled(gaps, _raw_covariance(members), pooled)
    peers = None
    if compared:
        adjusted = [gap for gap in map(_adjusted, members) if gap]
        gaps = [gap.gap for gap in adjusted]
        # A verdict does not state how the errors of two models go together, so they correlate as
        # in tables without items. They have the references' error in common as well as the items.
        z = intervals.critical_value(LEVEL)
        errors = []
        for gap in adjusted:
            low, high = gap.interval
            errors.append((high - low) / (2 * z))
        covariance = statistics_of_counts.with_shared_errors(np.square(errors))
        peers = _pooled(gaps, covariance, pooled)
    return FamilyLine(
        family=family,
        members=len(members),
        higher=sum(gap > 0 for gap in gaps),
        p_sign=statistics.sign_test(gaps),
        raw=raw,
        peers=peers,
    )


def _pooled(gaps: Sequence[float], covariance: Floats, families: int) -> PooledGap:
    """Return a mean gap; ``above`` is by the interval that so many ``families`` together need."""
    mean = statistics.family_gap(gaps, covariance, LEVEL)
    corrected_level = 1 - (1 - LEVEL) / max(families, 1)
    wide = statistics.family_gap(gaps, covariance, corrected_level).interval
    return PooledGap(
        estimate=mean.estimate,
        interval=mean.interval,
        prediction=mean.prediction,
        i2=mean.i2,
        above=wide is not None and wide.low > 0,
    )


def _raw_covariance(members: Sequence[Entry]) -> Floats:
    """Return the covariance of raw gaps from the items that all members were asked; where these are
    too few, as if each had items of its own."""
    if all(entry.outcomes and entry.public_outcomes for entry in members):
        shared = []
        for outcomes in matrix(members):
            asked_of_all = np.isfinite(outcomes).all(axis=0)
            shared.append(outcomes[:, asked_of_all])
        if min(outcomes.shape[1] for outcomes in shared) >= FEWEST_SHARED:
            return statistics.shared_covariance(*shared) + 1e-9 * np.eye(len(members))
    counts = []
    for entry in members:
        public = effective(entry.public, entry.public_mean)
        private = effective(entry.private, entry.mean)
        sides = statistics.Sides(public.right, public.n, private.right, private.n)
        counts.append(sides)
    return statistics_of_counts.gap_covariance(counts)
