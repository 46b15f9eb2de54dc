"""From a published table to its analysis: each gap by two tests, the families, and likelihood against gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import isnan

import numpy as np
from numpy.typing import NDArray

from evaluator.contract import canonical_json
from leaderboard.evidence import likelihoods, statistics
from leaderboard.evidence.statistics import counts as statistics_of_counts
from leaderboard.evidence.statistics.counts import Peers
from leaderboard.evidence.summaries import FamilyLine, Likelihood, PooledGap, Share, Tested
from leaderboard.evidence.vocabulary import LEVELS, Evidence
from leaderboard.published.models import PublishedRow, PublishedSnapshot, PublishedTable
from leaderboard.published.results import (
    Analysis,
    Order,
    PanelFacts,
    PeerTest,
    PublishedLine,
    RawTest,
    Role,
)

METHOD = "published-1"
"""Names everything below that turns rows into an analysis; another analysis of equal rows needs a new name."""
SEED, LEVEL = 20240501, 0.95
CURVE = tuple(round(0.02 * step, 2) for step in range(1, 50))
HASHED = (
    "line", "model", "organisation", "family", "access", "parameters", "active_parameters", "public_right", "public_n",
    "private_right", "private_n", "printed_gap", "printed_z", "loglik", "reference",
)  # fmt: skip


@dataclass(frozen=True)
class PublishedDraft:
    """An analysis that is computed and not yet saved."""

    table: PublishedTable
    inputs_hash: str
    analysis: Analysis

    def save(self) -> PublishedSnapshot:
        """Write it down, once."""
        fields = {"method": METHOD, "seed": SEED, "body": self.analysis.to_dict()}
        found, _ = PublishedSnapshot.objects.get_or_create(
            table=self.table, inputs_hash=self.inputs_hash, defaults=fields
        )
        return found

    def confirms(self, snapshot: PublishedSnapshot) -> bool | None:
        """Whether ``snapshot`` is this, bit for bit; ``None`` where it was made of other rows or by another method."""
        if (snapshot.inputs_hash, snapshot.method, snapshot.seed) != (
            self.inputs_hash,
            METHOD,
            SEED,
        ):
            return None
        return snapshot.analysis() == self.analysis


def analyse(table: PublishedTable) -> PublishedDraft:
    """The analysis of ``table``, from its rows alone."""
    rows = list(table.rows.order_by("line"))
    inputs = {
        "method": METHOD,
        "seed": SEED,
        "equally_hard": bool(table.equally_hard),
        "rows": [{name: getattr(row, name) for name in HASHED} for row in rows],
    }
    return PublishedDraft(table, sha256(canonical_json(inputs)).hexdigest(), _analysis(table, rows))


def _analysis(table: PublishedTable, rows: Sequence[PublishedRow]) -> Analysis:
    sides = [_sides(row) for row in rows]
    known = [i for i, row in enumerate(rows) if row.reference]
    found = statistics_of_counts.peers(sides, [row.family for row in rows], known)
    lines = _lines(rows, sides, found)
    public, private = ([side(line).accuracy for line in lines] for side in (_public, _private))
    changed, pairs = statistics_of_counts.order_changes(public, private)
    agreement = (
        statistics.spearman(public, private, LEVEL).estimate if len(lines) > 3 else float("nan")
    )
    return Analysis(
        levels=LEVELS,
        basis="raw" if table.equally_hard else "peers",
        lines=tuple(sorted(lines, key=lambda line: (-line.private.accuracy, line.model))),
        families=_families(rows, sides, found),
        panel=_panel(rows, found),
        likelihood=_likelihood(lines),
        order=Order(changed=changed, pairs=pairs, spearman=_number(agreement)),
    )


def _sides(row: PublishedRow) -> statistics.Sides:
    return statistics.Sides(row.public_right, row.public_n, row.private_right, row.private_n)


def _public(line: PublishedLine) -> Share:
    return line.public


def _private(line: PublishedLine) -> Share:
    return line.private


def _number(value: float) -> float | None:
    """A number, or ``None`` in place of NaN, which JSON does not know."""
    return None if isnan(value) else float(value)


# --- row by row


def _lines(
    rows: Sequence[PublishedRow], sides: Sequence[statistics.Sides], found: Peers
) -> list[PublishedLine]:
    raw, peers, printed = _raw(sides), _peers(sides, found), _printed(rows)
    ranges = statistics_of_counts.rank_ranges(
        [(one.private_right, one.private_n) for one in sides], LEVEL
    )
    ranks = _ranks([one.private_right / one.private_n for one in sides])
    public_ranks = _ranks([one.public_right / one.public_n for one in sides])
    roles: dict[int, Role] = {
        **dict.fromkeys(found.used, "reference"),
        **dict.fromkeys(found.put_aside, "put_aside"),
    }
    return [
        PublishedLine(
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
            gap=row.public_right / row.public_n - row.private_right / row.private_n,
            interval=statistics.newcombe(*sides[i], LEVEL),
            raw=raw[i],
            peers=peers[i],
            printed_gap=row.printed_gap,
            printed_z=row.printed_z,
            printed=printed[i],
            loglik=row.loglik,
            role=roles.get(i, "none"),
        )
        for i, row in enumerate(rows)
    ]


def _share(right: int, n: int) -> Share:
    return Share(right=right, n=n, accuracy=right / n, interval=statistics.wilson(right, n, LEVEL))


def _ranks(scores: Sequence[float]) -> list[int]:
    """Competition ranks, the highest first; equal scores share the better one."""
    return [1 + sum(other > score for other in scores) for score in scores]


def _tested(p: Sequence[float]) -> list[Tested]:
    holm, fdr = statistics.holm(p), statistics.benjamini_hochberg(p)
    return [
        Tested(p=float(one), holm=float(h), benjamini_hochberg=float(b))
        for one, h, b in zip(p, holm, fdr, strict=True)
    ]


def _words(
    sides: Sequence[statistics.Sides], tests: Sequence[statistics.GapTest | None]
) -> list[Evidence]:
    """The words of one table, which is one cohort. Published tables do not tell how many answers were cut off."""
    cases = [
        statistics.Case(
            statistics.Counts(one.public_right, 0, one.public_n),
            statistics.Counts(one.private_right, 0, one.private_n),
            test,
        )
        for one, test in zip(sides, tests, strict=True)
    ]
    return [verdict.evidence for verdict in statistics.verdicts(cases, LEVELS)]


def _raw(sides: Sequence[statistics.Sides]) -> list[RawTest]:
    tests = [statistics.score_test(*one) for one in sides]
    greater, either = (
        _tested([one.p_greater for one in tests]),
        _tested([one.p_two_sided for one in tests]),
    )
    visible = [
        statistics.smallest_visible_gap(statistics.newcombe(*one, LEVEL), LEVEL) for one in sides
    ]
    words = _words(
        sides,
        [statistics.GapTest(one.p_greater, seen) for one, seen in zip(tests, visible, strict=True)],
    )
    return [
        RawTest(z=test.z, greater=up, two_sided=two, visible=seen, word=word)
        for test, up, two, seen, word in zip(tests, greater, either, visible, words, strict=True)
    ]


def _peers(sides: Sequence[statistics.Sides], found: Peers) -> list[PeerTest | None]:
    tests = [statistics.GapTest(gap.p, gap.visible) if gap else None for gap in found.gaps]
    adjusted = iter(_tested([test.p for test in tests if test]))
    return [
        PeerTest(
            gap=gap.gap,
            interval=gap.interval,
            expected=gap.expected,
            visible=gap.visible,
            references=size,
            greater=next(adjusted),
            word=word,
        )
        if gap
        else None
        for gap, size, word in zip(found.gaps, found.sizes, _words(sides, tests), strict=True)
    ]


def _printed(rows: Sequence[PublishedRow]) -> list[Tested | None]:
    """What the table's own statistics say two-sided; of no use unless every row has one."""
    z = [row.printed_z for row in rows if row.printed_z is not None]
    if len(z) < len(rows):
        return [None] * len(rows)
    return list(_tested([statistics_of_counts.two_sided(one) for one in z]))


# --- together


def _families(
    rows: Sequence[PublishedRow], sides: Sequence[statistics.Sides], found: Peers
) -> tuple[FamilyLine, ...]:
    members: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        members.setdefault(row.family, []).append(i)
    pooled = sum(len(places) >= 3 for places in members.values())
    places = (*found.used, *found.put_aside)
    names = [row.family for row in rows]
    lines = []
    for family, own in members.items():
        own_sides = [sides[i] for i in own]
        gaps = [
            one.public_right / one.public_n - one.private_right / one.private_n for one in own_sides
        ]
        raw = statistics.family_gap(gaps, statistics_of_counts.gap_covariance(own_sides), LEVEL)
        tested = [(gap, sides[i]) for i in own if (gap := found.gaps[i])]
        panel = (
            statistics_of_counts.without_family(sides, places, names, family) if tested else None
        )
        against = None
        if panel is not None:
            shared = statistics_of_counts.peer_covariance(panel, [side for _, side in tested])
            against = _pooled([gap.gap for gap, _ in tested], shared, pooled)
        lines.append(
            FamilyLine(
                family=family,
                members=len(own),
                higher=sum(gap > 0 for gap in gaps),
                p_sign=raw.p_sign,
                raw=_pooled(gaps, statistics_of_counts.gap_covariance(own_sides), pooled),
                peers=against,
            )
        )
    return tuple(sorted(lines, key=lambda line: (-line.raw.estimate, line.family)))


def _pooled(gaps: Sequence[float], covariance: NDArray[np.float64], families: int) -> PooledGap:
    """One family's mean; "above" by the interval at the level that ``families`` intervals together need."""
    one = statistics.family_gap(gaps, covariance, LEVEL)
    wide = statistics.family_gap(gaps, covariance, 1 - (1 - LEVEL) / max(families, 1)).interval
    return PooledGap(
        estimate=one.estimate,
        interval=one.interval,
        prediction=one.prediction,
        i2=one.i2,
        above=wide is not None and wide.low > 0,
    )


def _panel(rows: Sequence[PublishedRow], found: Peers) -> PanelFacts | None:
    if found.panel is None:
        return None
    private = [rows[i].private_right / rows[i].private_n for i in found.used]
    grid = [share for share in CURVE if min(private) <= share <= max(private)]
    curve = zip(grid, statistics_of_counts.curve(found.panel, grid), strict=True)
    return PanelFacts(
        known=sum(bool(row.reference) for row in rows) >= statistics.FEWEST_REFERENCES,
        references=tuple(rows[i].model for i in found.used),
        put_aside=tuple(rows[i].model for i in found.put_aside),
        tau=found.panel.tau2**0.5,
        curve=tuple(curve),
    )


def _likelihood(lines: Sequence[PublishedLine]) -> Likelihood | None:
    return likelihoods.associated(
        [
            likelihoods.Read(
                likelihood=line.loglik,
                gap=line.gap,
                family=line.family,
                public_score=line.public.accuracy,
                private_score=line.private.accuracy,
                parameters=line.parameters,
                printed=line.printed_gap,
            )
            for line in lines
            if line.loglik is not None
        ]
    )
