"""The public ledger's page."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard.ledger.models import Entry, Evaluator

PAGE_LENGTH = 50


@require_safe
def ledger(request: HttpRequest) -> HttpResponse:
    """Every line, newest first, with the evaluators and the ends of their journals."""
    page = Paginator(Entry.objects.published().defer("items"), PAGE_LENGTH).get_page(request.GET.get("page"))
    context = {"page": page, "evaluators": Evaluator.objects.order_by("name"), "section": "ledger"}
    return render(request, "ledger/ledger.html", context)
