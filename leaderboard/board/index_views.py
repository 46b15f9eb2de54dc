"""Pages around the boards: the list of benchmarks, and the method of one."""

from collections.abc import Callable, Iterable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from evaluator import protocols
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.index import benchmarks
from leaderboard.caching import cached_for_visitors


@require_safe
@cached_for_visitors()
def front_page(request: HttpRequest, tables: Callable[[], Iterable[object]]) -> HttpResponse:
    """List the benchmarks, and below them the ``tables`` that others published.

    The project's URL configuration says where the tables come from, since neither app imports the
    other.
    """
    context = {"benchmarks": benchmarks(), "tables": tables()}
    return render(request, "board/index.html", context)


@require_safe
def method(request: HttpRequest, slug: str) -> HttpResponse:
    """Render the methodology of one benchmark: its protocols and graders, then every definition."""
    # Imported here: no other page has any use for the statistics, whose constants it names.
    from leaderboard.board.methodology import sections  # noqa: PLC0415

    pair = get_object_or_404(SetPair.objects.select_related("public", "private"), slug=slug)
    others = set(protocols.ids()) - {pair.protocol, *pair.also}
    shown = [section for section in sections() if section.anchor not in others]
    return render(request, "board/methodology.html", {"pair": pair, "sections": shown})
