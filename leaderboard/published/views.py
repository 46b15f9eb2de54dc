"""The pages of tables that others published. They read the newest analysis, draw it, and compute nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from leaderboard.charts import forest, marks, orders, planes
from leaderboard.evidence import formats
from leaderboard.evidence.forms import AXIS_CHOICES
from leaderboard.evidence.summaries import FamilyLine
from leaderboard.published import charts, exports
from leaderboard.published.forms import (
    BASIS_CHOICES,
    EVIDENCE_CHOICES,
    PUBLISHED_ACCESS,
    SORT_CHOICES,
    PublishedQuery,
)
from leaderboard.published.models import (
    PublishedRow,
    PublishedSnapshot,
    PublishedTable,
    listed_tables,
)
from leaderboard.published.points import of_line
from leaderboard.published.results import Analysis, Basis, PublishedLine
from leaderboard.published.summary import counted, findings

CALLOUTS = 3


@dataclass(frozen=True)
class Line:
    """One row as it is printed: numbers as text, pictures as SVG."""

    row: PublishedLine
    anchor: str
    rank: str
    size: str
    kind: str
    private: str
    private_range: str
    public: str
    gap: str
    gap_range: str
    peers: str
    peers_range: str
    tone: str
    word: str
    why: str
    dumbbell: SafeString
    gap_interval: SafeString


@dataclass(frozen=True)
class Family:
    """One family of the forest plot as it is printed."""

    row: FamilyLine
    mean: str
    interval: str
    peers: str
    prediction: str
    p_sign: str
    picture: SafeString


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every table that was imported, with its source."""
    return render(
        request,
        "published/index.html",
        {"tables": listed_tables()},
    )


@require_safe
def page(request: HttpRequest, slug: str) -> HttpResponse:
    """One table: what a careful reader finds, the rows asked for, and the pictures."""
    table, snapshot = _found(slug)
    return render(request, "published/table.html", _context(request, table, snapshot))


@require_safe
def as_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The rows that the page shows for the same address, as a CSV file."""
    _, snapshot = _found(slug)
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    text = exports.published_as_csv(query.shown(analysis), query.basis)
    headers = {"Content-Disposition": f'attachment; filename="{slug}.csv"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


def _found(slug: str) -> tuple[PublishedTable, PublishedSnapshot]:
    table = get_object_or_404(PublishedTable, slug=slug)
    snapshot = PublishedSnapshot.objects.current(table)
    if snapshot is None:
        raise Http404("not analysed yet")
    return table, snapshot


def _context(
    request: HttpRequest, table: PublishedTable, snapshot: PublishedSnapshot
) -> dict[str, Any]:
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    rows = query.shown(analysis)
    dots = [of_line(row, query.basis) for row in rows]
    scores, gaps = marks.score_axis(dots, whole=query.axis == "whole"), marks.gap_axis(dots)
    known = {
        row.model: row for row in table.rows.exclude(kind="").only("model", "kind", "reference")
    }
    lines = [_line(row, query.basis, scores, gaps, _kind(known.get(row.model))) for row in rows]
    hottest = sorted(
        (line for line in lines if line.tone == "hot"), key=lambda line: -line.row.interval[0]
    )
    return {
        "table": table,
        "snapshot": snapshot,
        "analysis": analysis,
        "query": query,
        "address": request.GET.urlencode(),
        "choices": _choices(query, analysis),
        "lines": lines,
        "facts": counted(analysis, query.basis),
        "callouts": hottest[:CALLOUTS],
        "findings": findings(table, analysis),
        "scatter": charts.scatter(rows, query.basis, analysis.panel),
        "score_scale": marks.scale(scores),
        "gap_scale": marks.scale(gaps, width=marks.GAP_WIDTH, signed=True),
        "slopes": orders.draw_slopes([of_line(row, query.basis) for row in rows])
        if len(rows) > 1
        else "",
        "most_slopes": orders.MOST_SLOPES if len(rows) > orders.MOST_SLOPES else 0,
        **_families(analysis),
        **_likelihood(analysis, query.basis),
    }


def _choices(query: PublishedQuery, analysis: Analysis) -> list[dict[str, Any]]:
    """The selects of the filter form: name, label for a screen reader, options, what is chosen."""
    names = sorted((one.family for one in analysis.families), key=str.lower)
    families = (("", "all families"), *((name, name) for name in names))
    selects: Mapping[str, tuple[str, Sequence[tuple[str, str]]]] = {
        "family": ("Family", families),
        "access": ("Access", PUBLISHED_ACCESS),
        "evidence": ("Evidence", EVIDENCE_CHOICES),
        "sort": ("Order", SORT_CHOICES),
        "axis": ("Range of the axis", AXIS_CHOICES),
    }
    basis = (
        "basis",
        (
            "What the words suppose",
            tuple((value, f"suppose: {text}") for value, text in BASIS_CHOICES),
        ),
    )
    return [
        {"name": name, "label": label, "options": options, "chosen": getattr(query, name)}
        for name, (label, options) in (*selects.items(), basis)
    ]


def _line(
    row: PublishedLine, basis: Basis, scores: marks.Axis, gaps: marks.Axis, kind: str
) -> Line:
    best, worst = row.rank_range
    dot = of_line(row, basis)
    return Line(
        row=row,
        anchor=f"model-{slugify(row.model)}",
        rank=str(best) if best == worst else f"{best}–{worst}",
        size=_size(row),
        kind=kind,
        private=formats.percent(row.private.accuracy),
        private_range="–".join(map(formats.percent, row.private.interval)),
        public=formats.percent(row.public.accuracy),
        gap=formats.points(row.gap),
        gap_range=formats.span(row.interval),
        peers=formats.points(row.peers.gap) if row.peers else "",
        peers_range=formats.span(row.peers.interval) if row.peers else "",
        tone=dot.tone,
        word=dot.word,
        why=_why(row, basis),
        dumbbell=marks.dumbbell(dot, scores),
        gap_interval=marks.gap_interval(dot, gaps),
    )


def _kind(row: PublishedRow | None) -> str:
    return ": ".join(filter(None, (row.kind, row.reference))) if row else ""


def _size(row: PublishedLine) -> str:
    if row.parameters is None:
        return ""
    active = (
        f" ({formats.size(row.active_parameters * 1e9)} active)" if row.active_parameters else ""
    )
    return f"{formats.size(row.parameters * 1e9)}{active}"


def _why(row: PublishedLine, basis: Basis) -> str:
    """The number behind a word: the corrected p that decided it, or the gap that would have been seen."""
    word = row.word(basis)
    test = row.raw.greater if basis == "raw" else row.peers and row.peers.greater
    if word == "overfit" and test:
        return f"Holm {formats.p_value(test.holm)}"
    if word == "watch" and test:
        return f"BH {formats.p_value(test.benjamini_hochberg)}"
    visible = row.visible(basis)
    return (
        "no test possible"
        if visible is None
        else f"visible from {formats.percent(visible)}\N{NO-BREAK SPACE}pp"
    )


def _families(analysis: Analysis) -> dict[str, Any]:
    spans = [one.raw.interval for one in analysis.families if one.raw.interval]
    axis = planes.around_zero([*spans, *((line.gap, line.gap) for line in analysis.lines)])
    return {
        "family_scale": marks.scale(axis, signed=True),
        "families": [
            Family(
                row=one,
                mean=formats.points(one.raw.estimate),
                interval=formats.span(one.raw.interval) if one.raw.interval else "",
                peers=formats.points(one.peers.estimate) if one.peers else "",
                prediction=formats.span(one.raw.prediction) if one.raw.prediction else "",
                p_sign=f"{one.p_sign:.3f}",
                picture=forest.family_forest(
                    one, [line for line in analysis.lines if line.family == one.family], axis
                ),
            )
            for one in analysis.families
        ],
    }


def _likelihood(analysis: Analysis, basis: Basis) -> dict[str, Any]:
    own = [line for line in analysis.lines if line.loglik is not None]
    if not own:
        return {"likelihood": "", "likelihood_rows": []}
    rows = [
        (
            line,
            f"{line.loglik:.3f}".replace("-", "−"),
            formats.points(line.gap),
            formats.percent(line.public.accuracy),
        )
        for line in sorted(own, key=lambda line: -(line.loglik or 0.0))
    ]
    return {"likelihood": charts.likelihood(own, basis), "likelihood_rows": rows}
