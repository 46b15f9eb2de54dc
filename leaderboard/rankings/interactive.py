"""One picture of a board or of a published table on a page of its own, where Plotly may be loaded.

The page holds the picture as SVG, its data as a table, and the same numbers once more as Plotly's figure. It shows the
models that the board shows for the same address, on all its pages, up to a bound.
"""

from collections.abc import Iterable, Sequence

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from leaderboard.benchmarks.models import SetPair
from leaderboard.rankings.charts.dots import Dot, Shown, of_line, of_row
from leaderboard.rankings.forms import BoardQuery, PublishedQuery
from leaderboard.rankings.models import FamilyLine, PublishedSnapshot, PublishedTable, Snapshot

Curve = Sequence[tuple[float, float]]


@require_safe
def of_board(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """A picture of the rows that the board shows for the same choices; ``model`` says whose peers are asked for."""
    pair = get_object_or_404(SetPair, slug=slug)
    snapshot = Snapshot.objects.current(pair)
    if snapshot is None:
        return _page(request, chart, pair.title, f"/boards/{slug}/", _shown(request, [], (), ()))
    dots = [of_row(row) for row in BoardQuery.from_dict(request.GET).shown(snapshot.ranking())]
    panel = snapshot.facts()
    shown = _shown(request, dots, panel.curve if panel else (), snapshot.pooled())
    return _page(request, chart, pair.title, f"/boards/{slug}/", shown)


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
    shown = _shown(request, dots, analysis.panel.curve if analysis.panel else (), analysis.families)
    return _page(request, chart, table.title, table.get_absolute_url(), shown)


def _shown(request: HttpRequest, dots: Sequence[Dot], curve: Curve, families: Iterable[FamilyLine]) -> Shown:
    model = request.GET.get("model", "") or (dots[0].model if dots else "")
    if dots and all(dot.model != model for dot in dots):
        raise Http404("no such model among those shown")
    named = {dot.family for dot in dots}
    return Shown(dots, len(dots), curve, [one for one in families if one.family in named], model)


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
