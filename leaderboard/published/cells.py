"""Cells of a published table's rows: numbers as text and whiskers as SVG, ready for a template."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from leaderboard.charts import forest, marks
from leaderboard.charts.dots import Dot
from leaderboard.evidence import formats
from leaderboard.evidence.summaries import FamilyLine, Tested
from leaderboard.evidence.vocabulary import Evidence
from leaderboard.published.points import point_of
from leaderboard.published.results import Analysis, Basis, PublishedResult, is_tested


@dataclass(frozen=True)
class Cells:
    """One model as text. Shares are in percent, gaps in percentage points."""

    row: PublishedResult
    known: str
    rank: str
    size: str
    active: str
    private: str
    private_interval: str
    public: str
    gap: str
    gap_interval: str
    peers: str
    peers_interval: str
    tone: str
    evidence: str
    grounds: str


@dataclass(frozen=True)
class Drawn:
    """A row with its figures: both scores, and the interval of the gap."""

    cells: Cells
    scores: SafeString
    interval: SafeString


@dataclass(frozen=True)
class Ranking:
    """Rows on axes that they share, and the ticks above their columns."""

    rows: Sequence[Drawn]
    score_scale: SafeString
    gap_scale: SafeString
    has_known: bool


@dataclass(frozen=True)
class FamilyCells:
    """One family as text, with its forest; ``p_sign`` and intervals are empty without a test."""

    row: FamilyLine
    mean: str
    interval: str
    prediction: str
    peers: str
    p_sign: str
    forest: SafeString


def ranking(
    rows: Sequence[PublishedResult], basis: Basis, known: Mapping[str, str], *, whole: bool = False
) -> Ranking:
    """Return the rows drawn on axes that fit them, or with scores on the ``whole`` range.

    ``known`` holds, by model, the account of how it was made.
    """
    points = [point_of(row, basis) for row in rows]
    scores = marks.score_axis(points, whole=whole)
    gaps = marks.gap_axis(points)
    drawn = [
        Drawn(
            cells(row, point, basis, known.get(row.model, "")),
            marks.dumbbell(point, scores),
            marks.gap_interval(point, gaps),
        )
        for row, point in zip(rows, points, strict=True)
    ]
    return Ranking(
        rows=drawn,
        score_scale=marks.scale(scores),
        gap_scale=marks.scale(gaps, width=marks.GAP_WIDTH, signed=True),
        has_known=any(one.cells.known for one in drawn),
    )


def cells(row: PublishedResult, point: Dot, basis: Basis, known: str) -> Cells:
    """Return the texts of a row."""
    best, worst = row.rank_range
    return Cells(
        row=row,
        known=known,
        rank=str(best) if best == worst else f"{best}–{worst}",
        size=_billions(row.parameters),
        active=_billions(row.active_parameters),
        private=formats.percent(row.private.accuracy),
        private_interval="–".join(map(formats.percent, row.private.interval)),
        public=formats.percent(row.public.accuracy),
        gap=formats.points(row.gap),
        gap_interval=formats.span(row.interval),
        peers=formats.points(row.peers.gap) if row.peers else "",
        peers_interval=formats.span(row.peers.interval) if row.peers else "",
        tone=point.tone,
        evidence=point.word,
        grounds=_grounds(row, basis),
    )


def _billions(parameters: float | None) -> str:
    return "" if parameters is None else formats.size(parameters * 1e9)


def _grounds(row: PublishedResult, basis: Basis) -> str:
    """Return the corrected p-value behind a level, or the gap that the test would have found."""
    level = row.level(basis)
    test = row.test(basis)
    if test and level == Evidence.OVERFIT:
        return f"Holm {formats.p_value(test.holm)}"
    if test and level == Evidence.WATCH:
        return f"BH {formats.p_value(test.benjamini_hochberg)}"
    visible = row.visible(basis)
    if visible is None:
        return "no test possible"
    return f"visible from {formats.percent(visible)}\N{NO-BREAK SPACE}pp"


def p_values(test: Tested | None) -> str:
    """Return a p-value and both corrected ones as text; empty where nothing was tested."""
    if test is None:
        return ""
    holm, fdr = map(formats.p_value, (test.holm, test.benjamini_hochberg))
    return f"{formats.p_value(test.p)} alone, {holm} by Holm, {fdr} by Benjamini and Hochberg"


def families(analysis: Analysis, names: Iterable[str]) -> dict[str, object]:
    """Return these families with their forests on one axis, as the template names them."""
    wanted = set(names)
    pooled = [family for family in analysis.families if family.family in wanted]
    members = [line for line in analysis.lines if line.family in wanted]
    intervals = [family.raw.interval for family in pooled if family.raw.interval]
    axis = marks.around_zero([*intervals, *((line.gap, line.gap) for line in members)])
    return {
        "family_scale": marks.scale(axis, signed=True),
        "families": [_family(family, members, axis) for family in pooled],
    }


def _family(
    family: FamilyLine, members: Iterable[PublishedResult], axis: marks.Axis
) -> FamilyCells:
    own = [line for line in members if line.family == family.family]
    interval, prediction = family.raw.interval, family.raw.prediction
    tested = is_tested(family)
    return FamilyCells(
        row=family,
        mean=formats.points(family.raw.estimate),
        interval=formats.span(interval) if tested and interval else "",
        prediction=formats.span(prediction) if tested and prediction else "",
        peers=formats.points(family.peers.estimate) if tested and family.peers else "",
        p_sign=f"{family.p_sign:.3f}" if tested else "",
        forest=forest.family_forest(family, [line.gap for line in own], axis),
    )
