"""Cells of a board's rows: numbers as text, ready for a template."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from leaderboard.board.columns import COLUMNS, DEFAULT_COLUMNS
from leaderboard.board.points import point_of
from leaderboard.board.rows import Row, Score
from leaderboard.charts.points import LEVEL_CLASSES
from leaderboard.charts.ranking import (
    UNMARKED,
    Cell,
    RankedModel,
    quoted,
    render_ranking,
    shown_columns,
)
from leaderboard.evidence import explain, formats


@dataclass(frozen=True)
class Cells:
    """One row as text. Shares and gaps are in percent and percentage points.

    ``mark`` is that of a row that was asked a part of its items, ``adaptive`` the basis of a score
    that is linked to all items; both are empty for any other row.
    """

    row: Row
    rank: str
    access: str
    private: str
    private_interval: str
    counted: str
    public_counted: str
    adaptive: str
    public: str
    gap: str
    gap_interval: str
    adjusted: str
    adjusted_interval: str
    item_selection: str
    step: str
    level_class: str
    grounds: str
    mark: str
    explanation: str
    tries: str
    lineage_runs: str


def cells(row: Row) -> Cells:
    """Return the texts of a row."""
    best, worst = row.rank_range
    low, high = row.private.interval
    adjusted = row.judged.adjusted if row.judged else None
    is_whole_set = row.tier == "T0" and not row.version
    public_truncated = (row.public.truncated, row.public.n)
    private_truncated = (row.private.truncated, row.private.n)
    explanation = explain.evidence(row.judged, row.gap, row.interval)
    mark = ""
    linked_from = ""
    part = row.adaptive
    if part:
        mark = f"adaptive: {part.asked:,} of {part.planned:,} items"
        linked_from = (
            f"adaptive: estimated for {part.planned:,} items from {part.asked:,} that were asked"
        )
        explanation += f" {explain.part_asked(part)}"
    step = ""
    if row.step:
        step = f"published in steps of {row.step} items, within {row.within} of the exact score"
    return Cells(
        row=row,
        rank=str(best) if best == worst else f"{best}–{worst}",
        access="open weights" if row.open_weights else row.access,
        private=formats.percent(row.private.accuracy),
        private_interval=f"{formats.percent(low)}–{formats.percent(high)}",
        counted=_counts(row.private),
        public_counted=_counts(row.public),
        adaptive=linked_from,
        public=formats.percent(row.public.accuracy),
        gap=formats.points(row.gap),
        gap_interval=formats.span(row.interval),
        adjusted=formats.points(adjusted.gap) if adjusted else "",
        adjusted_interval=formats.span(adjusted.interval) if adjusted else "",
        item_selection="" if is_whole_set else row.item_selection,
        step=step,
        level_class=LEVEL_CLASSES[row.evidence],
        grounds=explain.grounds(row.judged, row.interval, public_truncated, private_truncated),
        mark=mark,
        explanation=explanation,
        tries=explain.tries(row.tries, row.later, row.replaced),
        lineage_runs=explain.lineage_runs(row.lineage_runs, row.organisation, row.family),
    )


TRAINED = "discloses training"
"""Mark of a row whose author discloses training on the public set."""


def _counts(score: Score) -> str:
    """Return the right answers of all; of a mean over samples with its standard error."""
    if score.samples_right is None:
        return score.fraction
    error = formats.percent(score.standard_error or 0.0)
    return f"{score.fraction}, {score.samples} samples an item, standard error {error}"


def ranking(
    rows: Sequence[Row],
    names: Collection[str] = DEFAULT_COLUMNS,
    *,
    caption: str,
    whole: bool = False,
    sorts: str | None = None,
) -> SafeString:
    """Return the rows as a table with the columns of these ``names``, as :func:`render_ranking`.

    There is a column for adjusted gaps only where a row has one.
    """
    columns = shown_columns(COLUMNS, names)
    if not any(row.judged and row.judged.adjusted for row in rows):
        columns = [column for column in columns if column.name != "adjusted"]
    return render_ranking(
        [ranked_model(row) for row in rows],
        [point_of(row) for row in rows],
        columns,
        caption=caption,
        whole=whole,
        sorts=sorts,
    )


def ranked_model(row: Row) -> RankedModel:
    """Return a row of the table."""
    texts = cells(row)
    about_public = f"{row.public.right}/{row.public.n}, rank {row.public_rank}"
    about_private = f"{texts.adaptive or texts.counted}, 95% {texts.private_interval}"
    score = texts.private
    link = ""
    if texts.adaptive:
        score = f"≈{score}"
        link = "/methodology/#adaptive"
    if texts.step:
        link = "/methodology/#steps"
    if texts.item_selection:
        about_private += f"; {texts.item_selection}"
    if texts.step:
        about_private += f"; {texts.step}"
    adjusted = Cell("–")
    if texts.adjusted:
        adjusted = Cell(texts.adjusted, f"95% {texts.adjusted_interval}")
    return RankedModel(
        model=row.model,
        link=f"/models/{quoted(row.model)}/",
        title=f"{row.model}, {row.organisation}",
        search_text=row.search_text,
        tries=row.tries,
        about_tries=texts.tries,
        unverified=not row.verified,
        cells={
            "rank": Cell(texts.rank),
            "family": Cell(row.family, link=row.family and f"/families/{quoted(row.family)}/"),
            "organisation": Cell(row.owner),
            "size": Cell(formats.size(row.parameters) if row.parameters else "–"),
            "access": Cell(texts.access),
            "private": Cell(score, about_private, link=link),
            "public": Cell(texts.public, about_public),
            "gap": Cell(texts.gap, f"95% {texts.gap_interval}"),
            "adjusted": adjusted,
            "date": Cell(row.ended),
        },
        level=row.evidence.label,
        level_class=texts.level_class,
        grounds=texts.grounds,
        explanation=texts.explanation,
        mark=Cell("adaptive", texts.mark, "/methodology/#adaptive") if texts.mark else UNMARKED,
        disclosed=TRAINED if row.trained_on_public else "",
    )
