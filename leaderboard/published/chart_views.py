"""One chart of a published table on a page of its own."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from leaderboard.charts.chart_pages import chart_data, chart_page
from leaderboard.published.forms import PublishedQuery
from leaderboard.published.models import PublishedSnapshot, PublishedTable
from leaderboard.published.points import mean_of, point_of, sized


@require_safe
def of_published(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """Render a chart of the rows that the table's page shows for the same choices."""
    table = get_object_or_404(PublishedTable, slug=slug)
    snapshot = PublishedSnapshot.objects.current(table)
    if snapshot is None:
        raise Http404("not analysed yet")
    analysis = snapshot.analysis()
    query = PublishedQuery.from_dict(request.GET, analysis)
    points = [point_of(row, query.basis) for row in query.shown(analysis)]
    names = {point.family for point in points}
    families = [mean_of(line) for line in analysis.families if line.family in names]
    curve = analysis.panel.curve if analysis.panel else ()
    unsized = sum(point.parameters is None for point in points)
    data = chart_data(
        request,
        points,
        len(points),
        curve,
        families,
        sized=sized(analysis.lines),
        unsized=unsized,
    )
    return chart_page(request, chart, table.title, table.get_absolute_url(), data)
