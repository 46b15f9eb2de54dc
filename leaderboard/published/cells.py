"""Cells of a published table's rows: numbers as text, ready for a template."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from leaderboard.charts import forest, marks
from leaderboard.charts.points import LEVEL_CLASSES
from leaderboard.charts.ranking import Cell, RankedModel, quoted, render_ranking, shown_columns
from leaderboard.evidence import formats
from leaderboard.evidence.summaries import FamilyLine, Tested
from leaderboard.evidence.vocabulary import FLAGGED, Evidence
from leaderboard.published.columns import COLUMNS, DEFAULT_COLUMNS
from leaderboard.published.models import PublishedTable
from leaderboard.published.points import mean_of, point_of
from leaderboard.published.results import Analysis, Basis, PublishedResult, is_tested


@dataclass(frozen=True)
class Cells:
    """One model as text. Shares are in percent, gaps in percentage points."""

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
    level: str
    level_class: str
    grounds: str


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

    @classmethod
    def of(
        cls,
        family: FamilyLine,
        gaps: Sequence[float],
        axis: marks.Axis,
    ) -> "FamilyCells":
        """Return the texts of a family whose members have these ``gaps``."""
        picture = forest.family_forest(mean_of(family), gaps, axis)
        mean = formats.points(family.raw.estimate)
        if not is_tested(family):
            return cls(family, mean, "", "", "", "", picture)
        interval = family.raw.interval
        prediction = family.raw.prediction
        return cls(
            row=family,
            mean=mean,
            interval=formats.span(interval) if interval else "",
            prediction=formats.span(prediction) if prediction else "",
            peers=formats.points(family.peers.estimate) if family.peers else "",
            p_sign=f"{family.p_sign:.3f}",
            forest=picture,
        )


def cells(row: PublishedResult, basis: Basis) -> Cells:
    """Return the texts of a row."""
    best, worst = row.rank_range
    low, high = row.private.interval
    level = row.level(basis)
    test = row.test(basis)
    gap_interval = row.gap_interval(basis)
    visible = row.visible(basis)
    # The number behind the level: p-value, upper bound, or smallest visible gap.
    if test is None or gap_interval is None or visible is None:
        grounds = "no test possible"
    elif level in FLAGGED:
        grounds = formats.p_value(test.p)
    elif level == Evidence.NO_EVIDENCE:
        upper = min(gap_interval[1], 1.0)
        grounds = f"at most {formats.points(upper)}\N{NO-BREAK SPACE}pp (95%)"
    else:
        grounds = f"visible from {formats.percent(visible)}\N{NO-BREAK SPACE}pp"
    return Cells(
        rank=str(best) if best == worst else f"{best}–{worst}",
        size=_billions(row.parameters),
        active=_billions(row.active_parameters),
        private=formats.percent(row.private.accuracy),
        private_interval=f"{formats.percent(low)}–{formats.percent(high)}",
        public=formats.percent(row.public.accuracy),
        gap=formats.points(row.gap),
        gap_interval=formats.span(row.interval),
        peers=formats.points(row.peers.gap) if row.peers else "",
        peers_interval=formats.span(row.peers.interval) if row.peers else "",
        level=level.label,
        level_class=LEVEL_CLASSES[level],
        grounds=grounds,
    )


def ranking(
    rows: Sequence[PublishedResult],
    table: PublishedTable,
    basis: Basis,
    names: Collection[str] = DEFAULT_COLUMNS,
    *,
    caption: str,
    address: str = "",
    whole: bool = False,
    sorts: str | None = None,
    chosen: str = "",
) -> SafeString:
    """Return the rows as a table with the columns of these ``names``, as :func:`render_ranking`.

    ``address`` is the query of the models' own pages. How models were made has a column only where
    it is known of one of them.
    """
    known = table.known()
    columns = shown_columns(COLUMNS, names)
    if not any(row.model in known for row in rows):
        columns = [column for column in columns if column.name != "known"]
    ranked = []
    for row in rows:
        made_how = known.get(row.model, "")
        ranked.append(_ranked_model(row, table, basis, made_how, address))
    return render_ranking(
        ranked,
        [point_of(row, basis) for row in rows],
        columns,
        caption=caption,
        whole=whole,
        sorts=sorts,
        chosen=chosen,
    )


def _ranked_model(
    row: PublishedResult, table: PublishedTable, basis: Basis, known: str, address: str
) -> RankedModel:
    texts = cells(row, basis)
    about_private = f"{row.private.right}/{row.private.n}, 95% {texts.private_interval}"
    about_public = f"{row.public.right}/{row.public.n}, rank {row.public_rank}"
    peers = Cell("–")
    if texts.peers:
        peers = Cell(texts.peers, f"95% {texts.peers_interval}")
    home = table.get_absolute_url()
    return RankedModel(
        model=row.model,
        link=f"{home}models/{quoted(row.model)}/{address}",
        title=f"{row.model}, {row.organisation}" if row.organisation else row.model,
        search_text=row.search_text,
        tries=1,
        cells={
            "rank": Cell(texts.rank),
            "family": Cell(row.family, link=f"{home}families/{quoted(row.family)}/"),
            "organisation": Cell(row.organisation),
            "size": Cell(texts.size or "–", f"{texts.active} active" if texts.active else ""),
            "access": Cell(row.access),
            "known": Cell(known or "–", known),
            "private": Cell(texts.private, about_private),
            "public": Cell(texts.public, about_public),
            "gap": Cell(texts.gap, f"95% {texts.gap_interval}"),
            "peers": peers,
        },
        level=texts.level,
        level_class=texts.level_class,
        grounds=texts.grounds,
        explanation="",
    )


def _billions(parameters: float | None) -> str:
    return "" if parameters is None else formats.size(parameters * 1e9)


def p_values(test: Tested | None) -> str:
    """Return a p-value and both corrected ones as text; empty where nothing was tested."""
    if test is None:
        return ""
    alone = formats.p_value(test.p)
    holm = formats.p_value(test.holm)
    fdr = formats.p_value(test.benjamini_hochberg)
    return (
        f"{alone}; corrected for all models of the table: {holm} (Holm),"
        f" {fdr} (Benjamini and Hochberg)"
    )


def families(analysis: Analysis, names: Iterable[str]) -> dict[str, object]:
    """Return these families with their forests on one axis, as the template names them."""
    wanted = set(names)
    pooled = [family for family in analysis.families if family.family in wanted]
    spans = [family.raw.interval for family in pooled if family.raw.interval]
    gaps: dict[str, list[float]] = {}
    for line in analysis.lines:
        if line.family in wanted:
            gaps.setdefault(line.family, []).append(line.gap)
            spans.append((line.gap, line.gap))
    axis = marks.around_zero(spans)
    drawn = []
    for family in pooled:
        drawn.append(FamilyCells.of(family, gaps[family.family], axis))
    return {
        "family_scale": marks.scale(axis, signed=True),
        "families": drawn,
    }
