"""The pages of what we ran: boards, models, families. They read finished snapshots, draw them, and compute nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.views.decorators.http import require_safe

from leaderboard.benchmarks.models import SetPair
from leaderboard.benchmarks.states import PairState
from leaderboard.rankings import charts, exports, sentences
from leaderboard.rankings.charts import orders
from leaderboard.rankings.charts import published as drawn
from leaderboard.rankings.forms import (
    ACCESS_CHOICES,
    AXIS_CHOICES,
    BOARD_EVIDENCE,
    BOARD_SORT_CHOICES,
    PAGE_ROWS,
    BoardQuery,
)
from leaderboard.rankings.models import FamilyLine, Row, Snapshot, Verdict, noise_floor, unranked

CALLOUTS = 3
SIMILAR = 0.05
"""Models whose public scores differ by so much at most are peers."""


@dataclass(frozen=True)
class Line:
    """One row as it is printed: numbers as text, pictures as SVG."""

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


@dataclass(frozen=True)
class Family:
    """One family of the forest plot as it is printed."""

    row: FamilyLine
    mean: str
    interval: str
    prediction: str
    p_sign: str
    picture: SafeString


@require_safe
def board(request: HttpRequest, slug: str | None = None) -> HttpResponse:
    """The ranking of one pair; of the one registered last where none is named."""
    pair = _pair(slug)
    if pair is None:
        return render(request, "rankings/empty.html")
    snapshot = Snapshot.objects.current(pair)
    return render(request, "rankings/board.html", _context(request, pair, snapshot))


@require_safe
def board_csv(request: HttpRequest, slug: str) -> HttpResponse:
    """The rows that the page shows for the same address, on all its pages, as a CSV file; its heading where none is."""
    pair = _pair(slug)
    snapshot = pair and Snapshot.objects.current(pair)
    headers = {"Content-Disposition": f'attachment; filename="{slug}.csv"'}
    rows = BoardQuery.from_dict(request.GET).shown(snapshot.ranking()) if snapshot else ()
    return HttpResponse(exports.as_csv(rows), content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
def model(request: HttpRequest, name: str) -> HttpResponse:
    """Where one model stands on every pair, among its peers, and what was decided about it and when."""
    found = []
    for pair in SetPair.objects.select_related("private").order_by("-pk"):
        snapshot = Snapshot.objects.current(pair)
        ranking = snapshot.ranking() if snapshot else ()
        if row := next((row for row in ranking if row.model == name), None):
            near = [one for one in ranking if abs(one.public.accuracy - row.public.accuracy) <= SIMILAR]
            near.sort(key=lambda one: (-one.private.accuracy, one.model))
            found.append(
                {
                    "pair": pair,
                    "snapshot": snapshot,
                    "line": _lines([row])[0],
                    "peers": orders.peers(row, near) if len(near) > 1 else "",
                    "near": _lines(near),
                    "models": len(ranking),
                    "worst": charts.span(row.worst) if row.private.truncated or row.public.truncated else "",
                    "leak": sentences.leak(row.leak) if row.leak else "",
                    "says": sentences.evidence(row),
                    "graders": [(one, charts.points(one.gap)) for one in row.graders],
                }
            )
    if not found:
        raise Http404("no such model")
    verdicts = Verdict.objects.of_model(name)
    return render(request, "rankings/model.html", {"name": name, "found": found, "verdicts": verdicts})


@require_safe
def family(request: HttpRequest, name: str) -> HttpResponse:
    """The models of one lineage on every pair, and their mean gap."""
    found = []
    for pair in SetPair.objects.select_related("private").order_by("-pk"):
        snapshot = Snapshot.objects.current(pair)
        rows = [row for row in snapshot.ranking() if row.family == name] if snapshot else []
        if snapshot and rows:
            lines, scales = _lines(rows), _scales(rows)
            found.append({"pair": pair, "snapshot": snapshot, "lines": lines, **scales, **_families(snapshot, name)})
    if not found:
        raise Http404("no such family")
    return render(request, "rankings/family.html", {"name": name, "found": found})


@require_safe
def methodology(request: HttpRequest) -> HttpResponse:
    """What is done here, made from what is in force; each definition under an anchor of its own."""
    # Imported here: no other page has any use for the statistics, whose constants it names.
    from leaderboard.rankings.methodology import sections  # noqa: PLC0415

    return render(request, "rankings/methodology.html", {"sections": sections()})


def _pair(slug: str | None) -> SetPair | None:
    pairs = SetPair.objects.select_related("private")
    if slug is None:
        return pairs.order_by("-pk").first()
    pair = pairs.filter(slug=slug).first()
    if pair is None:
        raise Http404("no such pair")
    return pair


def _context(request: HttpRequest, pair: SetPair, snapshot: Snapshot | None) -> dict[str, Any]:
    query = BoardQuery.from_dict(request.GET)
    ranking = snapshot.ranking() if snapshot else ()
    rows = query.shown(ranking)
    shown = query.of_page(rows)
    panel = snapshot.facts() if snapshot else None
    lines = _lines(shown, whole=query.axis == "whole")
    address = request.GET.copy()
    address.pop("page", None)
    return {
        "pair": pair,
        "seal": _seal(pair),
        "snapshot": snapshot,
        "query": query,
        "address": address.urlencode(),
        "choices": _choices(query, ranking),
        "lines": lines,
        "total": len(rows),
        "pages": _pages(query, len(rows)),
        "has_adjusted": any(line.adjusted for line in lines),
        "facts": _facts(ranking),
        "panel": panel,
        "noise": noise_floor(),
        "callouts": sorted(
            (line for line in lines if line.tone == "hot"), key=lambda line: line.row.interval[0], reverse=True
        )[:CALLOUTS],
        "unranked": unranked(pair, ranking),
        "scatter": charts.scatter(shown, panel.curve if panel else ()),
        "slopes": orders.slopes(shown) if len(shown) > 1 else "",
        "most_slopes": orders.MOST_SLOPES if len(shown) > orders.MOST_SLOPES else 0,
        **_scales(shown, whole=query.axis == "whole"),
        **(_families(snapshot) if snapshot else {}),
        **_likelihoods(shown),
    }


def _choices(query: BoardQuery, ranking: Sequence[Row]) -> list[dict[str, Any]]:
    """The selects of the filter form: name, label for a screen reader, options, what is chosen."""
    names = sorted({row.family for row in ranking if row.family}, key=str.lower)
    selects = {
        "family": ("Family", (("", "all families"), *((name, name) for name in names))),
        "access": ("Access", ACCESS_CHOICES),
        "evidence": ("Evidence", BOARD_EVIDENCE),
        "sort": ("Order", BOARD_SORT_CHOICES),
        "axis": ("Range of the axis", AXIS_CHOICES),
    }
    return [
        {"name": name, "label": label, "options": options, "chosen": getattr(query, name)}
        for name, (label, options) in selects.items()
    ]


def _pages(query: BoardQuery, total: int) -> dict[str, int]:
    """The pages before and after this one, 0 where there is none."""
    last = max(1, -(-total // PAGE_ROWS))
    return {
        "this": query.page,
        "last": last,
        "before": min(query.page - 1, last),
        "after": query.page + 1 if query.page < last else 0,
    }


def _seal(pair: SetPair) -> dict[str, Any]:
    digest = pair.private.digest
    return {
        "commitment": f"{digest[:4]}…{digest[-4:]}",
        "released": pair.private.n if pair.state == PairState.RELEASED else 0,
        "rule": pair.private.rule_words() or "none announced yet",
    }


def _scales(rows: Sequence[Row], *, whole: bool = False) -> dict[str, SafeString]:
    scores, gaps = charts.score_axis(rows, whole=whole), charts.gap_axis(rows)
    return {
        "score_scale": charts.scale(scores),
        "gap_scale": charts.scale(gaps, width=charts.GAP_WIDTH, signed=True),
    }


def _lines(rows: Sequence[Row], *, whole: bool = False) -> list[Line]:
    scores, gaps = charts.score_axis(rows, whole=whole), charts.gap_axis(rows)
    return [_line(row, scores, gaps) for row in rows]


def _line(row: Row, scores: charts.Axis, gaps: charts.Axis) -> Line:
    best, worst = row.rank_range
    adjusted = row.judged.adjusted if row.judged else None
    return Line(
        row=row,
        anchor=f"model-{slugify(row.model)}",
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
    size = _size(row.parameters) if row.parameters else ""
    access = "open weights" if row.open_weights else row.access
    tries = f"{row.tries} tries" if row.tries > 1 else ""
    return " · ".join(part for part in (size, access, tries, row.ended) if part)


def _size(parameters: int) -> str:
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return str(parameters)


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


def _facts(ranking: Sequence[Row]) -> dict[str, int]:
    found = Counter(row.evidence for row in ranking)
    return {
        "models": len(ranking),
        "overfit": found["overfit"],
        "watch": found["watch"],
        "none": found["no_evidence"],
        "open": found["cannot_tell"],
        "pending": found["pending"],
    }


def _families(snapshot: Snapshot, name: str = "") -> dict[str, Any]:
    """The forest plot: each family's members as ticks, its mean on its interval."""
    rows, pooled = snapshot.ranking(), [one for one in snapshot.pooled() if name in ("", one.family)]
    spans = [one.raw.interval for one in pooled if one.raw.interval]
    axis = drawn.gap_axis([*spans, *((row.gap, row.gap) for row in rows if row.family)])
    families = [
        Family(
            row=one,
            mean=charts.points(one.raw.estimate),
            interval=charts.span(one.raw.interval) if one.raw.interval else "",
            prediction=charts.span(one.raw.prediction) if one.raw.prediction else "",
            p_sign=f"{one.p_sign:.3f}",
            picture=drawn.family_forest(one, [row for row in rows if row.family == one.family], axis),
        )
        for one in pooled
    ]
    return {"family_scale": charts.scale(axis, signed=True), "families": families}


def _likelihoods(rows: Sequence[Row]) -> dict[str, Any]:
    """Gap against likelihood, as a picture and as rows; nothing where fewer than two models were read."""
    read = [(row, row.likelihood) for row in rows if row.likelihood]
    if len(read) < 2:
        return {}
    found = [
        (
            row,
            *(f"{at:.3f}".replace("-", "−") for at in (one.public.per_character, one.private.per_character)),
            f"{one.public.per_character - one.private.per_character:+.3f}".replace("-", "−"),
            charts.points(row.gap),
        )
        for row, one in sorted(read, key=lambda pair: -pair[1].public.per_character)
    ]
    return {"likelihood": orders.likelihood(rows), "likelihood_rows": found}
