"""The board's pages. They read the newest snapshot, draw it, and compute nothing."""

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
from leaderboard.rankings import charts, exports
from leaderboard.rankings.forms import ACCESS_CHOICES, AXIS_CHOICES, BoardQuery
from leaderboard.rankings.models import Row, Snapshot, noise_floor, unranked

CALLOUTS = 3


@dataclass(frozen=True)
class Line:
    """One row as it is printed: numbers as text, pictures as SVG."""

    row: Row
    anchor: str
    rank: str
    private: str
    private_range: str
    public: str
    gap: str
    gap_range: str
    tone: str
    why: str
    dumbbell: SafeString
    gap_interval: SafeString


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
    """The whole ranking as a CSV file; only its heading where nothing is ranked yet."""
    pair = _pair(slug)
    snapshot = pair and Snapshot.objects.current(pair)
    headers = {"Content-Disposition": f'attachment; filename="{slug}.csv"'}
    rows = snapshot.ranking() if snapshot else ()
    return HttpResponse(exports.as_csv(rows), content_type="text/csv; charset=utf-8", headers=headers)


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
    shown = [row for row in ranking if query.wants(row)]
    scores = charts.score_axis(shown, whole=query.axis == "whole")
    gaps = charts.gap_axis(shown)
    lines = [_line(row, scores, gaps) for row in shown]
    return {
        "pair": pair,
        "seal": _seal(pair),
        "snapshot": snapshot,
        "query": query,
        "access_choices": ACCESS_CHOICES,
        "axis_choices": AXIS_CHOICES,
        "lines": lines,
        "facts": _facts(ranking),
        "noise": noise_floor(),
        "callouts": sorted(
            (line for line in lines if line.tone == "hot"), key=lambda line: line.row.interval[0], reverse=True
        )[:CALLOUTS],
        "unranked": unranked(pair, ranking),
        "scatter": charts.scatter(shown),
        "score_scale": charts.scale(scores),
        "gap_scale": charts.scale(gaps, width=charts.GAP_WIDTH, signed=True),
    }


def _seal(pair: SetPair) -> dict[str, Any]:
    digest = pair.private.digest
    return {
        "commitment": f"{digest[:4]}…{digest[-4:]}",
        "released": pair.private.n if pair.state == PairState.RELEASED else 0,
        "rule": pair.private.rule_words() or "none announced yet",
    }


def _line(row: Row, scores: charts.Axis, gaps: charts.Axis) -> Line:
    best, worst = row.rank_range
    private_lo, private_hi = (charts.percent(end) for end in row.private.interval)
    lo, hi = (charts.points(end) for end in row.interval)
    return Line(
        row=row,
        anchor=f"model-{slugify(row.model)}",
        rank=str(best) if best == worst else f"{best}–{worst}",
        private=charts.percent(row.private.accuracy),
        private_range=f"{private_lo}–{private_hi}",
        public=charts.percent(row.public.accuracy),
        gap=charts.points(row.gap),
        gap_range=f"{lo} to {hi}",
        tone=charts.TONES[row.evidence],
        why=_why(row),
        dumbbell=charts.dumbbell(row, scores),
        gap_interval=charts.gap_interval(row, gaps),
    )


def _why(row: Row) -> str:
    if row.evidence == "higher_on_public":
        return "interval above zero"
    if row.evidence == "cut_off":
        cut = max(side.truncated / side.n for side in (row.public, row.private))
        return f"{charts.percent(cut)}% cut off"
    return f"visible from {charts.percent(row.smallest_visible_gap)} pp"


def _facts(ranking: Sequence[Row]) -> dict[str, int]:
    found = Counter(row.evidence for row in ranking)
    return {
        "models": len(ranking),
        "higher": found["higher_on_public"],
        "none": found["no_evidence"],
        "open": found["too_noisy"] + found["cut_off"],
    }
