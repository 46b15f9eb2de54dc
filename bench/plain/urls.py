"""The site, and the plain board beside it."""

from django.core.paginator import Paginator
from django.db.models import F, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

from bench.plain.models import PlainRow
from leaderboard.board.forms import PAGE_ROWS
from leaderboard.urls import handler400, handler403, handler404, handler500
from leaderboard.urls import urlpatterns as site

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]
ORDERS = {
    "private": (F("private").desc(),), "public": (F("public").desc(),), "gap": (F("gap").desc(),),
    "evidence": (F("evidence").asc(), F("gap").desc()), "size": (F("parameters").desc(nulls_last=True),),
    "family": (F("family").asc(),), "organisation": (F("organisation").asc(),), "access": (F("access").asc(),),
    "protocol": (F("protocol").asc(),), "tries": (F("tries").desc(),), "date": (F("ended").desc(),),
    "model": (F("model").asc(),), "adjusted": (F("gap").desc(),),
}  # fmt: skip


def plain(request: HttpRequest) -> HttpResponse:
    """The page that the board would show for the same choices."""
    rows = PlainRow.objects.all()
    if text := request.GET.get("q"):
        rows = rows.filter(
            Q(model__icontains=text) | Q(organisation__icontains=text) | Q(family__icontains=text)
        )
    for name in ("family", "access", "evidence"):
        if value := request.GET.get(name):
            rows = rows.filter(**{name: value})
    if smallest := request.GET.get("min"):
        rows = rows.filter(parameters__gte=float(smallest) * 1e9)
    if since := request.GET.get("since"):
        rows = rows.filter(ended__gte=since)
    ordered = rows.order_by(*ORDERS[request.GET.get("sort", "private")], "model")
    page = Paginator(ordered, PAGE_ROWS).get_page(request.GET.get("page"))
    return render(request, "plain.html", {"page": page})


urlpatterns = [path("plain/", plain), *site]
