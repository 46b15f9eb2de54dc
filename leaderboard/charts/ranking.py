"""Rankings as tables: columns that a visitor may choose, cells, and figures on shared axes.

Boards and published tables are rendered by the same template. It is the one template of Jinja2:
fifty rows take Django's engine eight times as long.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote

from django.template.loader import render_to_string
from django.utils.http import RFC3986_SUBDELIMS
from django.utils.safestring import SafeString

from leaderboard.charts import marks
from leaderboard.charts.points import ChartPoint


@dataclass(frozen=True)
class Column:
    """Column of a ranking.

    ``name`` stands in addresses, ``css`` are its classes, ``label`` names it in the chooser.
    ``axis`` is that of its figures. It can be sorted by where it is ``sortable``.
    """

    name: str
    css: str
    heading: str
    label: str = ""
    axis: Literal["", "scores", "gaps"] = ""
    sortable: bool = False


class Cell(NamedTuple):
    """Cell of a row: text or figure, tooltip, and address that it leads to."""

    text: str
    title: str = ""
    link: str = ""


UNMARKED = Cell("")


@dataclass(frozen=True)
class RankedModel:
    """One row. ``cells`` are by the names of their columns.

    ``tries`` counts the complete runs, and ``about_tries`` says which of them ranks. ``grounds``
    stand next to the evidence level, and ``explanation`` is its tooltip. ``mark`` says that the row
    is of another kind than the others, ``unverified`` that its organisation was not yet checked to
    be who its name says, and ``disclosed`` what the model's author discloses.
    """

    model: str
    link: str
    title: str
    search_text: str
    tries: int
    cells: Mapping[str, Cell]
    level: str
    level_class: str
    grounds: str
    explanation: str
    about_tries: str = ""
    mark: Cell = UNMARKED
    unverified: bool = False
    disclosed: str = ""


@lru_cache(maxsize=4096)
def quoted(name: str) -> str:
    """Return a name as part of an address, as :func:`django.urls.reverse` writes it.

    That function takes longer than all cells of a row.
    """
    return quote(name, safe=f"{RFC3986_SUBDELIMS}/~:@")


def render_ranking(
    rows: Sequence[RankedModel],
    points: Sequence[ChartPoint],
    columns: Sequence[Column],
    *,
    caption: str,
    whole: bool = False,
    sorts: str | None = None,
    chosen: str = "",
) -> SafeString:
    """Return the rows as a table, their figures on axes that fit them all.

    Scores are drawn from 0 to 100% with ``whole``. ``sorts`` is the query of the page's address
    without its order, None where the rows cannot be sorted; ``chosen`` is the marked model.
    """
    scores = marks.score_axis(points, whole=whole)
    gaps = marks.gap_axis(points)
    cells = [(column.name, column.css, column.axis) for column in columns]
    with_figures = []
    for row, point in zip(rows, points, strict=True):
        drawn = {
            "scores": marks.dumbbell(point, scores),
            "gaps": marks.gap_interval(point, gaps),
        }
        with_figures.append((row, drawn))
    context = {
        "caption": caption,
        "columns": columns,
        "cells": cells,
        "scales": {
            "scores": marks.scale(scores),
            "gaps": marks.scale(gaps, width=marks.GAP_WIDTH, signed=True),
        },
        "rows": with_figures,
        "sorts": sorts,
        "chosen": chosen,
    }
    # Jinja2 has escaped the texts, which Django cannot know.
    return SafeString(render_to_string("ranking.html", context, using="jinja2"))


def chosen_columns(
    parameters: Sequence[str],
    columns: Sequence[Column],
    default: tuple[str, ...],
) -> tuple[str, ...]:
    """Return the columns named in an address, in their order; ``default`` where it names none.

    The form sends one parameter a column, a link one for all, separated by commas.
    """
    if not parameters:
        return default
    names: set[str] = set()
    for parameter in parameters:
        names.update(parameter.split(","))
    return tuple(column.name for column in columns if column.label and column.name in names)


def shown_columns(columns: Sequence[Column], names: Collection[str]) -> list[Column]:
    """Return the columns of a table: these, and those that every visitor sees."""
    return [column for column in columns if column.name in names or not column.label]
