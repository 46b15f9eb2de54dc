"""One picture of a board or of a published table on a page of its own, where Plotly may be loaded.

The page holds the picture as SVG, its data as a table, and the same numbers once more as Plotly's figure. It shows the
models that the board shows for the same address, on all its pages, up to a bound.
"""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from leaderboard.board.current import board
from leaderboard.board.forms import BoardQuery
from leaderboard.board.points import of_row
from leaderboard.charts.chart_pages import chart_page, shown_models
from leaderboard.charts.dots import MOST_DOTS, SIMILAR, thinned


@require_safe
def of_board(request: HttpRequest, slug: str, chart: str) -> HttpResponse:
    """A picture of the rows that the board shows for the same choices; ``model`` says whose peers are asked for."""
    found = board(slug)
    if found is None:
        raise Http404("no such pair")
    positions = BoardQuery.from_dict(request.GET).positions(found.columns)
    snapshot, title, home = found.snapshot, found.pair.title, f"/boards/{slug}/"
    if snapshot is None or not len(positions):
        return chart_page(request, chart, title, home, shown_models(request, [], 0, (), ()))
    kept = thinned(positions.tolist())
    if chart == "peers":
        own = snapshot.row_of(request.GET.get("model", "")) or found.rows(kept[:1])[0]
        near, _ = found.columns.near(own.public.accuracy, within=SIMILAR, most=MOST_DOTS)
        kept = [position for position in positions.tolist() if position in set(near)]
    dots = [of_row(row) for row in found.rows(kept)]
    named = found.columns.families_at(positions)
    families = [one for one in snapshot.pooled() if one.family in named]
    total = len(dots) if chart == "peers" else len(positions)
    return chart_page(
        request, chart, title, home, shown_models(request, dots, total, snapshot.curve(), families)
    )
