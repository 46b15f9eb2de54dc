"""What is drawn of a whole board or of one of its families, once for each snapshot: it is the same on every page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from leaderboard.board import charts
from leaderboard.board.models import SNAPSHOTS, Snapshot
from leaderboard.board.rows import Row
from leaderboard.charts import forest, marks, orders
from leaderboard.evidence import associations, formats
from leaderboard.evidence.summaries import FamilyLine

MOST_FAMILIES, MOST_TICKS, MOST_READ = 40, 40, 60
"""How many are drawn at most, so that a page costs the same however many there are; beside them it says how many."""


@dataclass(frozen=True)
class Family:
    """One family of the forest plot as it is printed."""

    row: FamilyLine
    mean: str
    interval: str
    prediction: str
    p_sign: str
    picture: SafeString


def of_board(snapshot: Snapshot) -> dict[str, Any]:
    """The forest of its families, likelihoods and slopes, as the board's page names them."""
    return _of_board(snapshot.pk, snapshot.created)


@lru_cache(maxsize=SNAPSHOTS)
def _of_board(pk: int, _: datetime) -> dict[str, Any]:
    """By key and moment, since nothing of a snapshot ever changes."""
    snapshot = Snapshot.objects.defer("columns").get(pk=pk)
    columns = snapshot.index()
    first = snapshot.at(range(min(columns.models, orders.MOST_SLOPES)))
    read, all_read = columns.read_evenly(MOST_READ)
    return {
        "forest": render_to_string("board/forest.html", of_families(snapshot))
        if snapshot.families
        else "",
        "slopes": charts.slopes(first) if len(first) > 1 else "",
        "most_slopes": len(first) if columns.models > len(first) else 0,
        "all_read": all_read,
        **_likelihoods(snapshot.at(read)),
        "associated": associations.likelihood(snapshot.association()),
    }


def of_families(snapshot: Snapshot, name: str = "") -> dict[str, Any]:
    """The forest plot: each family's members as ticks, its mean on its interval; the largest means first."""
    columns, pooled = (
        snapshot.index(),
        [one for one in snapshot.pooled() if name in ("", one.family)],
    )
    shown = [(one, columns.ticks(one.family, MOST_TICKS)) for one in pooled[:MOST_FAMILIES]]
    spans = [one.raw.interval for one, _ in shown if one.raw.interval]
    axis = marks.around_zero(
        [*spans, *((tick.gap, tick.gap) for _, ticks in shown for tick in ticks)]
    )
    families = [
        Family(
            row=one,
            mean=formats.points(one.raw.estimate),
            interval=formats.span(one.raw.interval) if one.raw.interval else "",
            prediction=formats.span(one.raw.prediction) if one.raw.prediction else "",
            p_sign=f"{one.p_sign:.3f}",
            picture=forest.family_forest(one, ticks, axis),
        )
        for one, ticks in shown
    ]
    return {
        "family_scale": marks.scale(axis, signed=True),
        "families": families,
        "all_families": len(pooled),
        "panel": snapshot.facts(),
    }


def _likelihoods(rows: Sequence[Row]) -> dict[str, Any]:
    """Gap against likelihood, as a picture and as rows; nothing where fewer than two models were read."""
    read = [(row, row.likelihood) for row in rows if row.likelihood]
    if len(read) < 2:
        return {}
    found = [
        (
            row,
            *(
                f"{at:.3f}".replace("-", "−")
                for at in (one.public.per_character, one.private.per_character)
            ),
            f"{one.public.per_character - one.private.per_character:+.3f}".replace("-", "−"),
            formats.points(row.gap),
        )
        for row, one in sorted(read, key=lambda pair: -pair[1].public.per_character)
    ]
    return {"likelihood": charts.likelihood(rows), "likelihood_rows": found}
