"""Figures of a whole board or of one family, drawn once for each snapshot and cached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from leaderboard.board.models import Snapshot
from leaderboard.board.points import mean_of
from leaderboard.charts import forest, marks
from leaderboard.charts.points import evenly
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

    @classmethod
    def of(
        cls,
        row: FamilyLine,
        gaps: Sequence[float],
        axis: marks.Axis,
    ) -> "Family":
        """Return the family's texts, and the figure of its members' ``gaps``."""
        mean = mean_of(row)
        interval = mean.gap.interval
        prediction = mean.gap.prediction
        return cls(
            row=row,
            mean=formats.points(mean.gap.estimate),
            interval=formats.span(interval) if interval else "",
            prediction=formats.span(prediction) if prediction else "",
            p_sign=f"{row.p_sign:.3f}" if interval else "",
            picture=forest.family_forest(mean, gaps, axis),
        )


def of_board(snapshot: Snapshot) -> dict[str, SafeString]:
    """Return the sections of families and of likelihoods; each is empty where there is none."""
    key = f"figures:{snapshot.cache_key}"
    sections: dict[str, SafeString] | None = cache.get(key)
    if sections is None:
        families = of_families(snapshot)
        likelihoods = of_likelihoods(snapshot)
        sections = {
            "forest": _section("board/forest.html", families if families["families"] else {}),
            "likelihoods": _section("board/likelihoods.html", likelihoods),
        }
        cache.set(key, sections, settings.PAGE_CACHE_SECONDS)
    return sections


def _section(template: str, context: dict[str, Any]) -> SafeString:
    return render_to_string(template, context) if context else SafeString("")


def of_families(snapshot: Snapshot, name: str = "") -> dict[str, Any]:
    """Return the forest plot: members as ticks, means on intervals, the largest means first."""
    pooled = [family for family in snapshot.pooled() if name in ("", family.family)]
    drawn = pooled[:MOST_FAMILIES]
    panel = snapshot.facts()
    compared = bool(panel and panel.compares)
    names = [row.family for row in drawn]
    all_gaps = snapshot.rows.gaps_of_families(names, "adjusted" if compared else "gap")
    # Of many members as many ticks as stand for all.
    gaps = {family: evenly(members, MOST_TICKS) for family, members in all_gaps.items()}
    spans = []
    for row in drawn:
        interval = mean_of(row).gap.interval
        if interval:
            spans.append(interval)
        spans += [(gap, gap) for gap in gaps[row.family]]
    axis = marks.around_zero(spans)
    families = [Family.of(row, gaps[row.family], axis) for row in drawn]
    return {
        "family_scale": marks.scale(axis, signed=True),
        "families": families,
        "all_families": len(pooled),
        "panel": panel,
    }


def of_likelihoods(snapshot: Snapshot) -> dict[str, Any]:
    """Return gap against likelihood, evenly over the ranking; nothing for fewer than two."""
    known = snapshot.rows.filter(has_likelihood=True).order_by("position")
    keys = list(known.values_list("pk", flat=True))
    drawn = known.filter(pk__in=evenly(keys, MOST_WITH_LIKELIHOOD)).only("body")
    read = []
    for stored in drawn:
        row = stored.read()
        if row.likelihood:
            read.append((row, row.likelihood))
    if len(read) < 2:
        return {}
    read.sort(key=lambda pair: -pair[1].public.per_character)
    rows = []
    for row, likelihood in read:
        public = likelihood.public.per_character
        private = likelihood.private.per_character
        cells = (
            row.model,
            _nats(public),
            _nats(private),
            _nats(public - private, sign="+"),
            formats.points(row.gap),
        )
        rows.append(cells)
    return {
        "rows": rows,
        "models": len(keys),
        "association": associations.likelihood(snapshot.association()),
    }


def _nats(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("-", "−")
