"""The pairs of sets, and the page of one: what it commits to."""

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from leaderboard.benchmarks.models import SetPair


@require_safe
def sets(request: HttpRequest) -> HttpResponse:
    """Every pair, newest first."""
    return render(request, "benchmarks/sets.html", {"pairs": _pairs().order_by("-pk"), "section": "sets"})


@require_safe
def set_pair(request: HttpRequest, slug: str) -> HttpResponse:
    """Counts, protocol and commitment of both sets."""
    pair = get_object_or_404(_pairs(), slug=slug)
    return render(request, "benchmarks/set_pair.html", {"pair": pair, "section": "sets"})


def _pairs() -> QuerySet[SetPair]:
    return SetPair.objects.select_related("public", "private")
