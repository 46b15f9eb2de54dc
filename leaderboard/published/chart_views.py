"""One chart of a published table on a page of its own."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from leaderboard.charts.chart_pages import chart_page, shown_models
from leaderboard.published.forms import PublishedQuery
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.points import point_of


@require_safe
def of_published(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """Render a chart of the rows that the table's page shows for the same choices."""
    table = get_object_or_404(PublishedTable, slug=slug)
    snapshot = PublishedSnapshot.objects.current(table)
    if snapshot is None:
        raise Http404("not analysed yet")
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    dots = [point_of(line, query.basis) for line in query.shown(analysis)]
    named = {dot.family for dot in dots}
    families = [one for one in analysis.families if one.family in named]
    shown = shown_models(
        request, dots, len(dots), analysis.panel.curve if analysis.panel else (), families
    )
    return chart_page(request, chart, table.title, table.get_absolute_url(), shown)
