"""The page of a board, put together from what is the same for every reader and the rows that one of them asked for."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from typing import Any

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from leaderboard.benchmarks.models import SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.board import pictures
from leaderboard.board.columns import Coded, Columns
from leaderboard.board.current import Board
from leaderboard.board.forms import (
    ACCESS_CHOICES,
    BOARD_EVIDENCE,
    BOARD_SORT_CHOICES,
    PAGE_ROWS,
    BoardQuery,
)
from leaderboard.board.lines import Printed, recent, table
from leaderboard.charts import planes
from leaderboard.evidence import formats
from leaderboard.evidence.forms import AXIS_CHOICES
from leaderboard.evidence.noise import noise_floor
from leaderboard.outlines import Filled, Outline

CALLOUTS = 3
MOST_WAITING, MOST_OPTIONS = 50, 40
"""How many a page shows at most, so that it costs the same however many there are; beside them it says how many."""
FRAMES = 16
"""Frames that a process keeps."""
_MARKS = (
    "q", "selects", "opened", "min", "max", "since", "total", "asked", "and_asked", "found", "scatter",
)  # fmt: skip
NAMED = {"family": "families", "organisation": "organisations", "protocol": "protocols"}
"""The columns that are filtered by a name of the board's own, and what many of them are called."""


@dataclass(frozen=True)
class Frame:
    """A board's page without its rows, and the parts of its filter form by name."""

    outline: Outline
    selects: Mapping[str, str]


def page(found: Board, query: BoardQuery, frame: Frame) -> Filled:
    """The whole page."""
    positions = query.positions(found.columns)
    rows = recent.of(found.snapshot, query.of_page(positions)) if found.snapshot else []
    address = escape(query.address(page=1))
    return Filled(
        frame.outline,
        {
            "q": escape(query.q),
            "selects": "".join(
                _chosen(part, name, getattr(query, name)) for name, part in frame.selects.items()
            ),
            "opened": " open"
            if (query.smallest, query.largest, query.since) != (None, None, "")
            else "",
            "min": "" if query.smallest is None else f"{query.smallest:g}",
            "max": "" if query.largest is None else f"{query.largest:g}",
            "since": query.since,
            "total": len(positions),
            "asked": f"?{address}" if address else "",
            "and_asked": f"&amp;{address}" if address else "",
            "found": _ranked(query, rows, len(positions)) if rows else _nothing(found),
            "scatter": _scatter(found, rows, query.address(page=1)) if rows else "",
        },
    )


_frames: OrderedDict[str, Frame] = OrderedDict()


def frame(found: Board, request: HttpRequest, *, kept: bool) -> Frame:
    """What is the same on every page of a board, whatever its address; ``kept`` where also for every reader."""
    if kept and (known := _frames.get(found.version)):
        return known
    made = Frame(
        Outline("board/board.html", _MARKS, _shown(found), request), _selects(found.columns)
    )
    if kept:
        _frames[found.version] = made
        while len(_frames) > FRAMES:
            _frames.popitem(last=False)
    return made


def _shown(found: Board) -> dict[str, Any]:
    snapshot, columns = found.snapshot, found.columns
    callouts = found.rows(columns.hottest[:CALLOUTS])
    return {
        "pair": found.pair,
        "seal": _seal(found.pair),
        "snapshot": snapshot,
        "facts": _facts(columns),
        "panel": snapshot.facts() if snapshot else None,
        "noise": noise_floor(),
        "callouts": [(row, formats.points(row.gap)) for row in callouts],
        "unranked": found.unranked.named[:MOST_WAITING],
        "unranked_models": len(found.unranked.named),
        "pending": found.unranked.sentences(),
        **(pictures.of_board(snapshot) if snapshot else {}),
    }


def _seal(pair: SetPair) -> dict[str, Any]:
    digest = pair.private.digest
    return {
        "commitment": f"{digest[:4]}…{digest[-4:]}",
        "released": pair.private.n if pair.state == SetState.RELEASED else 0,
        "rule": pair.private.rule_words() or "none announced yet",
    }


def _facts(columns: Columns) -> dict[str, int]:
    found = Counter(columns.evidence.counted)
    return {
        "models": columns.models,
        "overfit": found["overfit"],
        "watch": found["watch"],
        "none": found["no_evidence"],
        "open": found["cannot_tell"],
        "pending": found["pending"],
    }


def _selects(columns: Columns) -> dict[str, str]:
    """The parts of the filter form in which something is chosen; what is the same for all rows is none."""
    fixed = {
        "access": ("Access", ACCESS_CHOICES),
        "evidence": ("Evidence", BOARD_EVIDENCE),
        "sort": ("Order", BOARD_SORT_CHOICES),
        "axis": ("Range of the axis", AXIS_CHOICES),
    }
    named = {name: _named(name, many, getattr(columns, name)) for name, many in NAMED.items()}
    return {name: part for name, part in named.items() if part} | {
        name: render_to_string(
            "board/select.html", {"name": name, "label": label, "options": options}
        )
        for name, (label, options) in fixed.items()
    }


def _named(name: str, many: str, column: Coded) -> str:
    """A choice between names: of all, or where they are too many to type, with the commonest at hand."""
    if len(column.names) < 2 and name != "family":
        return ""
    options = [("", f"all {many}"), *((one, one) for one in column.most(MOST_OPTIONS))]
    free = len(column.names) > MOST_OPTIONS + 1
    choice = {"name": name, "label": name.capitalize(), "options": options, "free": free}
    return render_to_string("board/select.html", choice)


def _chosen(part: str, name: str, value: str) -> str:
    """A part of the form with this choice made."""
    if not value:
        return part
    value = escape(value)
    if part.startswith("<input"):
        return part.replace('value=""', f'value="{value}"', 1)
    return part.replace(f'<option value="{value}"', f'<option value="{value}" selected', 1)


def _ranked(query: BoardQuery, rows: Sequence[Printed], total: int) -> str:
    sorts = escape(query.address(page=1, sort=""))
    shown = table(rows, whole=query.axis == "whole")
    return _table(adjusted=shown["has_adjusted"]).filled(
        {
            "sorts": f"{sorts}&amp;" if sorts else "",
            "pages": _turning(query, -(-total // PAGE_ROWS)),
            **shown,
        }
    )


@cache
def _table(*, adjusted: bool) -> Outline:
    shape = {"has_adjusted": adjusted, "caption": "Ranking"}
    return Outline(
        "board/ranked.html", ("rows", "sorts", "pages", "score_scale", "gap_scale"), shape
    )


def _turning(query: BoardQuery, last: int) -> str:
    """The way to the pages before and after this one."""
    if last < 2:
        return ""
    address = escape(query.address(page=1))
    values = {"address": f"{address}&amp;" if address else "", "this": query.page, "last": last}
    values |= {"before": query.page - 1, "after": query.page + 1}
    return _turner(before=query.page > 1, after=query.page < last).filled(values)


@cache
def _turner(**shape: bool) -> Outline:
    return Outline(
        "board/turning.html", ("address", "this", "last", "before", "after"), {"is": shape}
    )


def _nothing(found: Board) -> str:
    models = found.columns.models
    return (
        f'<p class="note">No model matches. <a href="?">Show all {models}.</a></p>'
        if models
        else ""
    )


def _scatter(found: Board, rows: Sequence[Printed], address: str) -> SafeString:
    curve = found.snapshot.curve() if found.snapshot else ()
    said = "<figcaption>The solid curve is what the reference models lead to\nexpect.</figcaption>"
    larger = _larger(found.pair.slug).filled({"address": escape(address)})
    picture = planes.scatter([one.dot for one in rows], curve)
    return SafeString(f'<figure class="scatter">{picture}{said if curve else ""}{larger}</figure>')


@lru_cache(maxsize=64)
def _larger(slug: str) -> Outline:
    """The way to the picture's own page."""
    chart = {"chart": "scatter", "what": "private against public score", "pair": {"slug": slug}}
    return Outline("charts/link.html", ("address",), chart)
