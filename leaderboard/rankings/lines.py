"""A row of a ranking as it is printed: numbers as text, pictures as SVG, the whole as HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from urllib.parse import quote

from django.utils.safestring import SafeString

from leaderboard.outlines import Outline
from leaderboard.rankings import charts
from leaderboard.rankings.models import Row, searched

_FIELDS = (
    "anchor", "model", "text", "rank", "organisation", "family", "family_address", "about", "private", "private_counts",
    "private_range", "form", "public", "public_counts", "public_rank", "dumbbell", "gap", "gap_interval", "gap_range",
    "adjusted", "adjusted_range", "tone", "word", "why",
)  # fmt: skip
"""What ``rankings/row.html`` prints."""


@dataclass
class Line:
    """One row as it is printed."""

    row: Row
    anchor: str
    rank: str
    about: str
    private: str
    private_range: str
    public: str
    gap: str
    gap_range: str
    adjusted: str
    adjusted_range: str
    tone: str
    why: str
    dumbbell: SafeString
    gap_interval: SafeString

    def html(self, *, adjusted: bool = False) -> SafeString:
        """As a row of a table, with a column for the adjusted gap or without."""
        row = self.row
        shape = _shape(adjusted=adjusted, family=bool(row.family), form=row.tier != "T0" or row.version > 0)
        values = vars(self) | {
            "model": escape(row.model),
            "organisation": _escaped(row.organisation),
            "family": _escaped(row.family),
            "text": escape(searched(row)),
            "about": escape(self.about),
            "family_address": _quoted(row.family),
            "private_counts": f"{row.private.right}/{row.private.n}",
            "form": row.form,
            "public_counts": f"{row.public.right}/{row.public.n}",
            "public_rank": row.public_rank,
            "adjusted": self.adjusted or "–",
            "word": row.word,
        }
        return shape.filled(values)


@cache
def _shape(**shape: bool) -> Outline:
    return Outline("rankings/row.html", _FIELDS, {"is": shape})


@lru_cache(maxsize=4096)
def _escaped(name: str) -> str:
    return escape(name)


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def table_rows(printed: Sequence[Line], *, adjusted: bool = False) -> SafeString:
    """The rows of a table, one below the other."""
    return SafeString("".join(line.html(adjusted=adjusted) for line in printed))


def lines(rows: Sequence[Row], *, whole: bool = False) -> list[Line]:
    """The rows, drawn on axes that all of them share: what they need, or the ``whole`` range of the scores."""
    scores, gaps = charts.score_axis(rows, whole=whole), charts.gap_axis(rows)
    return [_line(row, scores, gaps) for row in rows]


def scales(rows: Sequence[Row], *, whole: bool = False) -> dict[str, SafeString]:
    """The ticks of those axes, as they stand above the columns."""
    scores, gaps = charts.score_axis(rows, whole=whole), charts.gap_axis(rows)
    return {
        "score_scale": charts.scale(scores),
        "gap_scale": charts.scale(gaps, width=charts.GAP_WIDTH, signed=True),
    }


def _line(row: Row, scores: charts.Axis, gaps: charts.Axis) -> Line:
    best, worst = row.rank_range
    adjusted = row.judged.adjusted if row.judged else None
    return Line(
        row=row,
        anchor=f"model-{row.model}",
        rank=str(best) if best == worst else f"{best}–{worst}",
        about=_about(row),
        private=charts.percent(row.private.accuracy),
        private_range="–".join(map(charts.percent, row.private.interval)),
        public=charts.percent(row.public.accuracy),
        gap=charts.points(row.gap),
        gap_range=charts.span(row.interval),
        adjusted=charts.points(adjusted.gap) if adjusted else "",
        adjusted_range=charts.span(adjusted.interval) if adjusted else "",
        tone=charts.TONES[row.evidence],
        why=_why(row),
        dumbbell=charts.dumbbell(row, scores),
        gap_interval=charts.gap_interval(row, gaps),
    )


def _about(row: Row) -> str:
    """Size, access, tries and date of a row, as far as they are known."""
    size = charts.size(row.parameters) if row.parameters else ""
    access = "open weights" if row.open_weights else row.access
    tries = f"{row.tries} tries" if row.tries > 1 else ""
    return " · ".join(part for part in (size, access, tries, row.ended) if part)


def _why(row: Row) -> str:
    """The number behind a word: the corrected p that decided it, or the gap that would have been seen."""
    judged = row.judged
    if judged is None:
        return "by this grader at the next close"
    if judged.cut:
        cut = max(side.truncated / side.n for side in (row.public, row.private))
        return f"{charts.percent(cut)}% cut off"
    if judged.holm is None or judged.benjamini_hochberg is None:
        return "nothing to compare with" if judged.basis == "none" else "too few references like it"
    if judged.word == "overfit":
        return f"Holm {charts.p_value(judged.holm)}{_rests_on(judged.fewest)}"
    if judged.word == "watch":
        return f"BH {charts.p_value(judged.benjamini_hochberg)}{_rests_on(judged.fewest)}"
    return f"visible from {charts.percent(judged.visible or 0)} pp{_rests_on(judged.fewest)}"


def _rests_on(fewest: int | None) -> str:
    return f", turns with {fewest} reference{'' if fewest == 1 else 's'}" if fewest else ""
