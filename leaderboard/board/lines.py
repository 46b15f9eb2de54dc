"""A row of a ranking as it is printed: numbers as text, pictures as SVG, the whole as HTML."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from functools import cache, lru_cache
from html import escape
from threading import Lock
from typing import Any, NamedTuple, TypeAlias, TypedDict
from urllib.parse import quote

from django.utils.safestring import SafeString

from leaderboard.board.columns import searched
from leaderboard.board.models import Snapshot
from leaderboard.board.points import of_row
from leaderboard.board.rows import Row
from leaderboard.charts import marks
from leaderboard.charts.dots import TONES, Dot
from leaderboard.evidence import formats
from leaderboard.outlines import Outline

Line: TypeAlias = dict[str, Any]
"""A row's own ``row``, and what ``board/row.html`` prints of it, by name and ready for it, but for the pictures."""
_TEXTS = (
    "anchor", "model", "text", "rank", "organisation", "family", "family_address", "about", "private", "private_counts",
    "private_range", "form", "public", "public_counts", "public_rank", "gap", "gap_range", "tone", "word", "why",
)  # fmt: skip
_DRAWN = ("dumbbell", "gap_interval", "adjusted_cell")
"""What depends on the rows beside it."""
RECENT = 12_288
"""Rows that a process keeps as they are printed: about 30 MB."""


class Printed(NamedTuple):
    """A row as HTML, in pieces: between them belong its two pictures and the cell of its adjusted gap.

    In UTF-8: a true minus or a dash would make a text twice as large.
    """

    pieces: tuple[bytes, bytes, bytes, bytes]
    adjusted_cell: bytes
    has_adjusted: bool
    dot: Dot


def printed(row: Row) -> Printed:
    """The row, ready to stand beside others."""
    texts = line(row)
    shape = _shape(row.family != "", texts["form"] != "")
    first, second, third, last, cell = [piece.filled(texts).encode() for piece in (*shape, _cell())]
    return Printed((first, second, third, last), cell, texts["adjusted_range"] != "", of_row(row))


@cache
def _shape(family: bool, form: bool) -> tuple[Outline, ...]:
    return Outline(
        "board/row.html", (*_TEXTS, *_DRAWN), {"is": {"family": family, "form": form}}
    ).cut(_DRAWN)


@cache
def _cell() -> Outline:
    return Outline("board/adjusted.html", ("adjusted", "adjusted_range"), {})


class Recent:
    """The rows that were printed last, at most so many; nothing of a snapshot ever changes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[int, datetime, int], Printed] = OrderedDict()
        self._lock = Lock()

    def of(self, snapshot: Snapshot, positions: Sequence[int]) -> list[Printed]:
        """The rows at these positions, in this order; one query for those that are not here."""
        keys = [(snapshot.pk, snapshot.created, position) for position in positions]
        with self._lock:
            found = {key: kept for key in keys if (kept := self._kept.get(key))}
        if missing := [
            position
            for *_, position in keys
            if (snapshot.pk, snapshot.created, position) not in found
        ]:
            rows = snapshot.by_position(missing)
            found |= {
                (snapshot.pk, snapshot.created, position): printed(row)
                for position, row in rows.items()
            }
        with self._lock:
            for key, one in found.items():
                self._kept[key] = one
                self._kept.move_to_end(key)
            while len(self._kept) > self.limit:
                self._kept.popitem(last=False)
        return [found[key] for key in keys if key in found]


recent = Recent(RECENT)


class Table(TypedDict):
    """What ``board/rows.html`` prints: rows one below the other, and the ticks that stand above their columns."""

    rows: SafeString
    score_scale: SafeString
    gap_scale: SafeString
    has_adjusted: bool


def table(rows: Sequence[Printed], *, whole: bool = False) -> Table:
    """The rows, drawn on axes that all of them share: what they need, or the ``whole`` range of the scores."""
    dots = [one.dot for one in rows]
    scores, gaps = marks.score_axis(dots, whole=whole), marks.gap_axis(dots)
    adjusted = any(one.has_adjusted for one in rows)
    return {
        "rows": SafeString(
            b"".join([_drawn(one, scores, gaps, adjusted=adjusted) for one in rows]).decode()
        ),
        "score_scale": marks.scale(scores),
        "gap_scale": marks.scale(gaps, width=marks.GAP_WIDTH, signed=True),
        "has_adjusted": adjusted,
    }


def _drawn(one: Printed, scores: marks.Axis, gaps: marks.Axis, *, adjusted: bool) -> bytes:
    (first, second, third, last), dot = one.pieces, one.dot
    cell = one.adjusted_cell if adjusted else b""
    pictures = marks.dumbbell(dot, scores).encode(), marks.gap_interval(dot, gaps).encode()
    return b"".join((first, pictures[0], second, pictures[1], third, cell, last))


@lru_cache(maxsize=4096)
def _escaped(name: str) -> str:
    return escape(name)


@lru_cache(maxsize=4096)
def _quoted(name: str) -> str:
    return quote(name, safe="")


def line(row: Row) -> Line:
    """The texts of a row."""
    (best, worst), private, public, judged = row.rank_range, row.private, row.public, row.judged
    name, (low, high) = escape(row.model), private.interval
    adjusted = judged.adjusted if judged else None
    return {
        "row": row,
        "anchor": f"model-{name}",
        "model": name,
        "text": escape(searched(row)),
        "rank": str(best) if best == worst else f"{best}–{worst}",
        "organisation": _escaped(row.organisation),
        "family": _escaped(row.family),
        "family_address": _quoted(row.family),
        "about": escape(_about(row)),
        "private": formats.percent(private.accuracy),
        "private_counts": f"{private.right}/{private.n}",
        "private_range": f"{formats.percent(low)}–{formats.percent(high)}",
        "form": row.form if row.tier != "T0" or row.version else "",
        "public": formats.percent(public.accuracy),
        "public_counts": f"{public.right}/{public.n}",
        "public_rank": row.public_rank,
        "gap": formats.points(row.gap),
        "gap_range": formats.span(row.interval),
        "adjusted": formats.points(adjusted.gap) if adjusted else "–",
        "adjusted_range": formats.span(adjusted.interval) if adjusted else "",
        "tone": TONES[row.evidence],
        "word": row.word,
        "why": escape(_why(row)),
    }


def _about(row: Row) -> str:
    """Size, access, tries and date of a row, as far as they are known."""
    text: str = "open weights" if row.open_weights else row.access
    if row.parameters:
        text = f"{formats.size(row.parameters)} · {text}"
    if row.tries > 1:
        text += f" · {row.tries} tries"
    return f"{text} · {row.ended}" if row.ended else text


def _why(row: Row) -> str:
    """The number behind a word: the corrected p that decided it, or the gap that would have been seen."""
    judged = row.judged
    if judged is None:
        return "by this grader at the next close"
    if judged.cut:
        cut = max(side.truncated / side.n for side in (row.public, row.private))
        return f"{formats.percent(cut)}% cut off"
    if judged.holm is None or judged.benjamini_hochberg is None:
        return "nothing to compare with" if judged.basis == "none" else "too few references like it"
    if judged.word == "overfit":
        return f"Holm {formats.p_value(judged.holm)}{_rests_on(judged.fewest)}"
    if judged.word == "watch":
        return f"BH {formats.p_value(judged.benjamini_hochberg)}{_rests_on(judged.fewest)}"
    return f"visible from {formats.percent(judged.visible or 0)} pp{_rests_on(judged.fewest)}"


def _rests_on(fewest: int | None) -> str:
    return f", turns with {fewest} reference{'' if fewest == 1 else 's'}" if fewest else ""
