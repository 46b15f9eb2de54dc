"""Analysis of a published table: two tests of each gap, families, and likelihood against gap.

Steps of :func:`analyse`:

- rows: scores, intervals, ranks, the raw test and the test against peers of each model;
- families: mean gaps, raw and against peers;
- the whole: panel of references, rank changes, likelihood against gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isnan

import numpy as np
from numpy.typing import NDArray

from evaluator.contract import canonical_json
from leaderboard.evidence import likelihoods, statistics
from leaderboard.evidence.entries import EffectiveCounts
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.statistics.counts import Peers
from leaderboard.evidence.summaries import FamilyLine, PooledGap, Share, Tested
from leaderboard.evidence.vocabulary import LEVELS, Evidence
from leaderboard.published.models import PublishedRow, PublishedSnapshot, PublishedTable
from leaderboard.published.results import (
    FEWEST_MEMBERS,
    Analysis,
    Order,
    PanelFacts,
    PeerTest,
    PublishedResult,
    RawTest,
    Role,
)

METHOD = "published-2"
"""Name of everything below that turns rows into an analysis; another analysis needs a new name."""
SEED = 20240501
LEVEL = 0.95
CURVE = tuple(round(0.02 * step, 2) for step in range(1, 50))
HASHED = (
    "line", "model", "organisation", "family", "access", "parameters", "active_parameters",
    "public_right", "public_n", "private_right", "private_n", "reported_gap", "reported_z",
    "loglik", "reference",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedDraft:
    """Analysis that is computed and not saved yet."""

    table: PublishedTable
    inputs_hash: str
    analysis: Analysis

    def save(self) -> PublishedSnapshot:
        """Save the analysis once; return the snapshot of equal inputs where there is one."""
        fields = {"method": METHOD, "seed": SEED, "body": self.analysis.to_dict()}
        snapshot, _ = PublishedSnapshot.objects.get_or_create(
            table=self.table, inputs_hash=self.inputs_hash, defaults=fields
        )
        return snapshot

    def confirms(self, snapshot: PublishedSnapshot) -> bool | None:
        """Return if ``snapshot`` is equal bit for bit; None for other rows or another method."""
        own = (self.inputs_hash, METHOD, SEED)
        if (snapshot.inputs_hash, snapshot.method, snapshot.seed) != own:
            return None
        return snapshot.analysis() == self.analysis


def analyse(table: PublishedTable) -> PublishedDraft:
    """Return the analysis of ``table``, from its rows alone."""
    rows = list(table.rows.order_by("line"))
    hashed_rows = []
    for row in rows:
        hashed_rows.append({name: getattr(row, name) for name in HASHED})
    inputs: dict[str, object] = {
        "method": METHOD,
        "seed": SEED,
        "equally_hard": bool(table.equally_hard),
        "rows": hashed_rows,
    }
    if table.same_problems:
        inputs["same_problems"] = True
    sides = []
    references = []
    for place, row in enumerate(rows):
        own = statistics.Sides(row.public_right, row.public_n, row.private_right, row.private_n)
        sides.append(own)
        if row.reference:
            references.append(place)
    if table.same_problems:  # the tests compare different problems
        peers = Peers.untested(len(rows))
    else:
        peers = statistics_of_counts.peers(sides, [row.family for row in rows], references)
    results = _results(rows, sides, peers, tested=not table.same_problems)
    read = [
        likelihoods.Read(
            likelihood=result.loglik,
            gap=result.gap,
            family=result.family,
            public_score=result.public.accuracy,
            private_score=result.private.accuracy,
            parameters=result.parameters,
            reported=result.reported_gap,
        )
        for result in results
        if result.loglik is not None
    ]
    ordered = sorted(results, key=lambda line: (-line.private.accuracy, line.model))
    analysis = Analysis(
        levels=LEVELS,
        basis="raw" if table.equally_hard else "peers",
        lines=tuple(ordered),
        families=_families(rows, sides, peers),
        panel=_panel(rows, peers),
        likelihood=likelihoods.associated(read),
        order=_order(results),
    )
    inputs_hash = sha256(canonical_json(inputs)).hexdigest()
    return PublishedDraft(table, inputs_hash, analysis)


def _results(
    rows: Sequence[PublishedRow],
    sides: Sequence[statistics.Sides],
    peers: Peers,
    *,
    tested: bool,
) -> list[PublishedResult]:
    """Return the scores and ranks of each row, and the tests of its gap where it is ``tested``."""
    raw_tests: Sequence[RawTest | None] = [None] * len(rows)
    if tested:
        raw_tests = _raw_tests(sides)
    peer_tests = _peer_tests(sides, peers)
    # The table's own tests, two-sided; none unless every row has a statistic.
    reported_tests: list[Tested | None] = [None] * len(rows)
    reported = [row.reported_z for row in rows if row.reported_z is not None]
    if len(reported) == len(rows):
        p_values = [statistics_of_counts.two_sided(z) for z in reported]
        reported_tests = [*_corrected(p_values)]
    private = [(own.private_right, own.private_n) for own in sides]
    ranges = statistics_of_counts.rank_ranges(private, LEVEL)
    ranks = _ranks([own.private_share for own in sides])
    public_ranks = _ranks([own.public_share for own in sides])
    roles: dict[int, Role] = dict.fromkeys(peers.used, "reference")
    roles |= dict.fromkeys(peers.put_aside, "put_aside")
    return [
        PublishedResult(
            model=row.model,
            organisation=row.organisation,
            family=row.family,
            access="open" if row.access == PublishedRow.Access.OPEN else "closed",
            parameters=row.parameters,
            active_parameters=row.active_parameters,
            public=_share(row.public_right, row.public_n),
            private=_share(row.private_right, row.private_n),
            public_rank=public_ranks[i],
            rank=ranks[i],
            rank_range=(ranges[i].low, ranges[i].high),
            gap=sides[i].gap,
            interval=statistics.newcombe(*sides[i], LEVEL),
            raw=raw_tests[i],
            peers=peer_tests[i],
            reported_gap=row.reported_gap,
            reported_z=row.reported_z,
            reported=reported_tests[i],
            loglik=row.loglik,
            role=roles.get(i, "none"),
        )
        for i, row in enumerate(rows)
    ]


def _share(right: int, n: int) -> Share:
    return Share(
        right=right,
        n=n,
        accuracy=right / n,
        interval=statistics.wilson(right, n, LEVEL),
    )


def _ranks(scores: Sequence[float]) -> list[int]:
    """Return competition ranks, the highest score first; equal scores share the better rank."""
    return [1 + sum(other > score for other in scores) for score in scores]


def _corrected(p_values: Sequence[float]) -> list[Tested]:
    """Return the p-values of one table with both corrections over it."""
    holm = statistics.holm(p_values)
    fdr = statistics.benjamini_hochberg(p_values)
    tested = []
    for p, by_holm, by_fdr in zip(p_values, holm, fdr, strict=True):
        test = Tested(
            p=float(p),
            holm=float(by_holm),
            benjamini_hochberg=float(by_fdr),
        )
        tested.append(test)
    return tested


def _evidence(
    sides: Sequence[statistics.Sides], tests: Sequence[statistics.GapTest | None]
) -> list[Evidence]:
    """Return the evidence level of each model, by its own test alone.

    Published tables do not report truncated answers, so none are counted.
    """
    levels = []
    for own, test in zip(sides, tests, strict=True):
        case = statistics.Case(*_counts(own), test)
        levels.append(statistics.verdict(case, LEVELS).evidence)
    return levels


def _counts(sides: statistics.Sides) -> tuple[EffectiveCounts, EffectiveCounts]:
    """Return the public and the private counts, of no truncated answers."""
    public = EffectiveCounts(sides.public_right, 0, sides.public_n)
    private = EffectiveCounts(sides.private_right, 0, sides.private_n)
    return public, private


def _raw_tests(sides: Sequence[statistics.Sides]) -> list[RawTest]:
    """Return Miettinen and Nurminen's test of each gap."""
    tests = [statistics.score_test(*own) for own in sides]
    greater = _corrected([test.p_greater for test in tests])
    two_sided = _corrected([test.p_two_sided for test in tests])
    gap_tests = [statistics.raw_test(*_counts(own), LEVEL) for own in sides]
    levels = _evidence(sides, gap_tests)
    return [
        RawTest(
            z=test.z,
            greater=greater[i],
            two_sided=two_sided[i],
            visible=gap_tests[i].visible,
            evidence=levels[i],
        )
        for i, test in enumerate(tests)
    ]


def _peer_tests(sides: Sequence[statistics.Sides], peers: Peers) -> list[PeerTest | None]:
    """Return the test of each gap against other families; None where too few are alike."""
    tests = [statistics.adjusted_test(gap) if gap else None for gap in peers.gaps]
    levels = _evidence(sides, tests)
    corrected = iter(_corrected([test.p for test in tests if test]))
    results: list[PeerTest | None] = []
    for i, gap in enumerate(peers.gaps):
        test = tests[i]
        if gap is None or test is None:
            results.append(None)
            continue
        result = PeerTest(
            gap=gap.gap,
            interval=gap.interval,
            expected=gap.expected,
            visible=test.visible,
            references=peers.sizes[i],
            greater=next(corrected),
            evidence=levels[i],
        )
        results.append(result)
    return results


def _order(lines: Sequence[PublishedResult]) -> Order:
    public = [line.public.accuracy for line in lines]
    private = [line.private.accuracy for line in lines]
    changed, pairs = statistics_of_counts.order_changes(public, private)
    spearman = None
    if len(lines) > 3:
        estimate = statistics.spearman(public, private, LEVEL).estimate
        spearman = None if isnan(estimate) else float(estimate)
    return Order(changed=changed, pairs=pairs, spearman=spearman)


def _families(
    rows: Sequence[PublishedRow], sides: Sequence[statistics.Sides], peers: Peers
) -> tuple[FamilyLine, ...]:
    """Return the mean gaps of each family, raw and against peers, the largest raw one first."""
    names = [row.family for row in rows]
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    pooled = sum(len(members) >= FEWEST_MEMBERS for members in places.values())
    families = []
    for name, members in places.items():
        own = [sides[i] for i in members]
        gaps = [sides[i].gap for i in members]
        covariance = statistics_of_counts.gap_covariance(own)
        family = FamilyLine(
            family=name,
            members=len(members),
            higher=sum(gap > 0 for gap in gaps),
            p_sign=statistics.family_gap(gaps, covariance, LEVEL).p_sign,
            raw=_pooled(gaps, covariance, pooled),
            peers=_against_peers(name, names, sides, peers, pooled),
        )
        families.append(family)
    families.sort(key=lambda family: (-family.raw.estimate, family.family))
    return tuple(families)


def _against_peers(
    family: str,
    names: Sequence[str],
    sides: Sequence[statistics.Sides],
    peers: Peers,
    families: int,
) -> PooledGap | None:
    """Return the mean gap of a family against the others; None if no member can be compared.

    ``names`` are the families of all models.
    """
    gaps = []
    tested = []
    for name, own, gap in zip(names, sides, peers.gaps, strict=True):
        if name == family and gap:
            gaps.append(gap.gap)
            tested.append(own)
    if not gaps:
        return None
    candidates = (*peers.used, *peers.put_aside)
    panel = statistics_of_counts.without_family(sides, candidates, names, family)
    if panel is None:
        return None
    covariance = statistics_of_counts.peer_covariance(panel, tested)
    return _pooled(gaps, covariance, families)


def _pooled(
    gaps: Sequence[float],
    covariance: NDArray[np.float64],
    families: int,
) -> PooledGap:
    """Return one family's mean gap.

    ``above`` is by the interval at the level that ``families`` intervals together need.
    """
    mean = statistics.family_gap(gaps, covariance, LEVEL)
    simultaneous_level = 1 - (1 - LEVEL) / max(families, 1)
    simultaneous = statistics.family_gap(gaps, covariance, simultaneous_level).interval
    return PooledGap(
        estimate=mean.estimate,
        interval=mean.interval,
        prediction=mean.prediction,
        i2=mean.i2,
        above=simultaneous is not None and simultaneous.low > 0,
    )


def _panel(rows: Sequence[PublishedRow], peers: Peers) -> PanelFacts | None:
    """Return the panel as its page states it; None where there are too few peers."""
    if peers.panel is None:
        return None
    references = [rows[i] for i in peers.used]
    private = [row.private_right / row.private_n for row in references]
    lowest = min(private)
    highest = max(private)
    shares = [share for share in CURVE if lowest <= share <= highest]
    expected = statistics_of_counts.curve(peers.panel, shares)
    known = sum(bool(row.reference) for row in rows)
    return PanelFacts(
        known=known >= statistics.FEWEST_REFERENCES,
        references=tuple(row.model for row in references),
        put_aside=tuple(rows[i].model for i in peers.put_aside),
        tau=peers.panel.tau2**0.5,
        curve=tuple(zip(shares, expected, strict=True)),
    )
