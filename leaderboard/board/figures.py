"""Figures of a whole board or of one family, drawn once for each snapshot and cached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from leaderboard.board.models import Snapshot, SnapshotRow
from leaderboard.board.points import Tick
from leaderboard.board.rows import Row
from leaderboard.charts import forest, marks
from leaderboard.evidence import associations, formats
from leaderboard.evidence.summaries import FamilyLine

MOST_FAMILIES = 40
MOST_TICKS = 40
MOST_WITH_LIKELIHOOD = 60
"""Most that are drawn, so that a page costs the same on a large board."""


@dataclass(frozen=True)
class Family:
    """One family of the forest plot: texts, and its figure."""

    row: FamilyLine
    mean: str
    interval: str
    prediction: str
    p_sign: str
    picture: SafeString


def of_board(snapshot: Snapshot) -> dict[str, Any]:
    """Return the forest of families and the likelihoods, as the template names them."""
    key = f"figures:{snapshot.pk}:{snapshot.created.isoformat()}"
    found: dict[str, Any] | None = cache.get(key)
    if found is None:
        found = _drawn(snapshot)
        cache.set(key, found, settings.PAGE_CACHE_SECONDS)
    return found


def _drawn(snapshot: Snapshot) -> dict[str, Any]:
    with_likelihood = snapshot.rows.filter(has_likelihood=True).order_by("position")
    number = with_likelihood.count()
    return {
        "forest": render_to_string("board/forest.html", of_families(snapshot))
        if snapshot.families
        else "",
        "all_read": number,
        **_likelihoods([row.read() for row in _spread(with_likelihood, number)]),
        "associated": associations.likelihood(snapshot.association()),
    }


def _spread(rows: Any, number: int) -> list[SnapshotRow]:
    """Return at most :data:`MOST_WITH_LIKELIHOOD` of the rows, evenly over their order."""
    if number <= MOST_WITH_LIKELIHOOD:
        return list(rows)
    positions = list(rows.values_list("position", flat=True))
    step = (number - 1) / (MOST_WITH_LIKELIHOOD - 1)
    wanted = [positions[round(place * step)] for place in range(MOST_WITH_LIKELIHOOD)]
    return list(rows.filter(position__in=wanted))


def of_families(snapshot: Snapshot, name: str = "") -> dict[str, Any]:
    """Return the forest plot: members as ticks, means on intervals, the largest means first."""
    pooled = [one for one in snapshot.pooled() if name in ("", one.family)]
    shown = [(one, _ticks(snapshot, one.family)) for one in pooled[:MOST_FAMILIES]]
    spans = [one.raw.interval for one, _ in shown if one.raw.interval]
    axis = marks.around_zero([*spans, *((gap, gap) for _, gaps in shown for gap in gaps)])
    families = [_family(one, gaps, axis) for one, gaps in shown]
    return {
        "family_scale": marks.scale(axis, signed=True),
        "families": families,
        "all_families": len(pooled),
        "panel": snapshot.facts(),
    }


def _family(one: FamilyLine, gaps: Sequence[float], axis: marks.Axis) -> Family:
    pooled = one.raw
    return Family(
        row=one,
        mean=formats.points(pooled.estimate),
        interval=formats.span(pooled.interval) if pooled.interval else "",
        prediction=formats.span(pooled.prediction) if pooled.prediction else "",
        p_sign=f"{one.p_sign:.3f}" if pooled.interval else "",
        picture=forest.family_forest(one, [Tick(gap) for gap in gaps], axis),
    )


def _ticks(snapshot: Snapshot, family: str) -> list[float]:
    """Return the gaps of a family's members, ascending; of many, as many as stand for all."""
    gaps = list(snapshot.rows.filter(family=family).order_by("gap").values_list("gap", flat=True))
    if len(gaps) <= MOST_TICKS:
        return gaps
    step = (len(gaps) - 1) / (MOST_TICKS - 1)
    return [gaps[round(place * step)] for place in range(MOST_TICKS)]


def _likelihoods(rows: Sequence[Row]) -> dict[str, Any]:
    """Return gap against likelihood as rows; nothing for fewer than two models."""
    known = [(row, row.likelihood) for row in rows if row.likelihood]
    if len(known) < 2:
        return {}
    known.sort(key=lambda pair: -pair[1].public.per_character)
    found = [
        (
            row,
            _nats(one.public.per_character),
            _nats(one.private.per_character),
            _nats(one.public.per_character - one.private.per_character, sign="+"),
            formats.points(row.gap),
        )
        for row, one in known
    ]
    return {"likelihood_rows": found}


def _nats(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("-", "−")
