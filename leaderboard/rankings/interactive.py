"""One picture of a board or of a published table on a page of its own, where Plotly may be loaded.

The page holds the picture as SVG, its data as a table, and the same numbers once more as Plotly's figure. It shows the
models that the board shows for the same address, on all its pages, up to a bound.
"""

from collections.abc import Sequence

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from leaderboard.rankings.charts.dots import (
    MOST_DOTS,
    SIMILAR,
    Dot,
    Shown,
    of_line,
    of_row,
    thinned,
)
from leaderboard.rankings.forms import BoardQuery, PublishedQuery
from leaderboard.rankings.models import FamilyLine, PublishedSnapshot, PublishedTable, board

Curve = Sequence[tuple[float, float]]


@require_safe
def of_board(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """A picture of the rows that the board shows for the same choices; ``model`` says whose peers are asked for."""
    found = board(slug)
    if found is None:
        raise Http404("no such pair")
    positions = BoardQuery.from_dict(request.GET).positions(found.columns)
    snapshot, title, home = found.snapshot, found.pair.title, f"/boards/{slug}/"
    if snapshot is None or not len(positions):
        return _page(request, chart, title, home, _shown(request, [], 0, (), ()))
    kept = thinned(positions.tolist())
    if chart == "peers":
        own = snapshot.row_of(request.GET.get("model", "")) or found.rows(kept[:1])[0]
        near, _ = found.columns.near(own.public.accuracy, within=SIMILAR, most=MOST_DOTS)
        kept = [position for position in positions.tolist() if position in set(near)]
    dots = [of_row(row) for row in found.rows(kept)]
    named = found.columns.families_at(positions)
    families = [one for one in snapshot.pooled() if one.family in named]
    total = len(dots) if chart == "peers" else len(positions)
    return _page(
        request, chart, title, home, _shown(request, dots, total, snapshot.curve(), families)
    )


@require_safe
def of_published(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """A picture of the rows that a published table's page shows for the same choices."""
    table = get_object_or_404(PublishedTable, slug=slug)
    snapshot = PublishedSnapshot.objects.current(table)
    if snapshot is None:
        raise Http404("not analysed yet")
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    dots = [of_line(line, query.basis) for line in query.shown(analysis)]
    named = {dot.family for dot in dots}
    families = [one for one in analysis.families if one.family in named]
    shown = _shown(
        request, dots, len(dots), analysis.panel.curve if analysis.panel else (), families
    )
    return _page(request, chart, table.title, table.get_absolute_url(), shown)


def _shown(
    request: HttpRequest,
    dots: Sequence[Dot],
    total: int,
    curve: Curve,
    families: Sequence[FamilyLine],
) -> Shown:
    model = request.GET.get("model", "") or (dots[0].model if dots else "")
    if dots and all(dot.model != model for dot in dots):
        raise Http404("no such model among those shown")
    return Shown(dots, total, curve, families, model)


def _page(request: HttpRequest, name: str, title: str, home: str, shown: Shown) -> HttpResponse:
    # Imported here: only these pages have any use for Plotly, which is large.
    from leaderboard.rankings.charts.explained import CHARTS  # noqa: PLC0415

    if name not in CHARTS:
        raise Http404("no such picture")
    address = request.GET.copy()
    for choice in ("page", "model"):
        address.pop(choice, None)
    chart = CHARTS[name](shown) if shown.dots else None
    context = {
        "title": title,
        "home": home,
        "address": address.urlencode(),
        "chart": chart,
        "bundle": static(f"{settings.PLOTLY}/plotly.min.js"),
    }
    return render(request, "rankings/chart.html", context)
