"""Page of one chart, where Plotly may be loaded."""

from collections.abc import Sequence

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static

from leaderboard.charts.dots import Dot, Shown
from leaderboard.evidence.summaries import FamilyLine

Curve = Sequence[tuple[float, float]]


def shown_models(
    request: HttpRequest,
    dots: Sequence[Dot],
    total: int,
    curve: Curve,
    families: Sequence[FamilyLine],
) -> Shown:
    """Return the models of a chart; ``?model=`` names the one whose peers are asked for (404 if unknown)."""
    model = request.GET.get("model", "") or (dots[0].model if dots else "")
    if dots and all(dot.model != model for dot in dots):
        raise Http404("no such model among those shown")
    return Shown(dots, total, curve, families, model)


def chart_page(
    request: HttpRequest, name: str, title: str, home: str, shown: Shown
) -> HttpResponse:
    """Render one chart with its data as a table; 404 for an unknown chart."""
    # Imported here: only these pages have any use for Plotly, which is large.
    from leaderboard.charts.explained import CHARTS  # noqa: PLC0415

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
    return render(request, "charts/chart.html", context)
