"""One picture of a board or of a published table on a page of its own, where Plotly may be loaded.

The page holds the picture as SVG, its data as a table, and the same numbers once more as Plotly's
figure. It shows the models that the board shows for the same address, on all its pages, up to a
bound.
"""

from collections.abc import Sequence

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from leaderboard.board.forms import BoardQuery
from leaderboard.board.lookup import find_board
from leaderboard.board.models import SnapshotRow, SnapshotRowQuerySet
from leaderboard.board.points import mean_of, point_of
from leaderboard.charts import frontier
from leaderboard.charts.chart_pages import SIZE_CHARTS, chart_data, chart_page
from leaderboard.charts.frontier import Sized
from leaderboard.charts.points import MOST_POINTS, thinned


@require_safe
def of_board(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """A picture of the rows that the board shows for the same choices; ``model`` says whose peers
    are asked for, without it those of the first row.

    A chart of sizes also has the efficient models that are left out where rows are many.
    """
    found = find_board(slug)
    if found is None:
        raise Http404("no such pair")
    rows = BoardQuery.from_dict(request.GET).rows(found.snapshot)
    total = rows.count()
    title = found.pair.title
    home = f"/boards/{slug}/"
    snapshot = found.snapshot
    if snapshot is None or not total:
        no_data = chart_data(request, [], 0, (), ())
        return chart_page(request, chart, title, home, no_data)
    if chart == "peers":
        model = request.GET.get("model", "")
        own = snapshot.rows.filter(model=model).first() or rows.first()
        if own:
            rows = rows.similar_to(own.public)
        total = rows.count()
    panel = snapshot.facts()
    compared = bool(panel and panel.compares)
    against = SIZE_CHARTS.get(chart)
    sized: list[Sized] = []
    unsized = 0
    if against:
        rows = rows.exclude(**{against: None})
        sized = snapshot.sized(against)
        unsized = total - rows.count()
    shown = _shown(rows, sized)
    points = [point_of(row.read(), compared=compared) for row in shown]
    named = rows.order_by().values_list("family", flat=True)
    shown_families = set(named.distinct())
    families = []
    for line in snapshot.pooled():
        if line.family in shown_families:
            families.append(mean_of(line))
    data = chart_data(
        request,
        points,
        total,
        snapshot.curve(),
        families,
        sized=sized,
        unsized=unsized,
        sizes=snapshot.sizes(),
    )
    return chart_page(request, chart, title, home, data)


def _shown(rows: SnapshotRowQuerySet, sized: Sequence[Sized]) -> list[SnapshotRow]:
    """Return at most :data:`MOST_POINTS` of the rows, evenly over their order, and the efficient
    models among the others."""
    if rows.count() <= MOST_POINTS:
        shown = list(rows)
    else:
        keys = thinned(list(rows.values_list("pk", flat=True)))
        found = SnapshotRow.objects.in_bulk(keys)
        shown = [found[key] for key in keys]
    shown_models = {row.model for row in shown}
    left_out = set()
    for model, is_efficient in frontier.efficient(sized).items():
        if is_efficient and model not in shown_models:
            left_out.add(model)
    return [*shown, *rows.filter(model__in=left_out)]
