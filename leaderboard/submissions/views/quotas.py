"""Quotas of one's own organisations, and the ledger about them."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard.accounts.views import signed_in_user
from leaderboard.submissions import actions
from leaderboard.submissions.models import QuotaEntry

PAGE_LENGTH = 50


@login_required
@require_safe
def quotas(request: HttpRequest) -> HttpResponse:
    """List what is left to one organisation of the user, and the ledger's entries about it."""
    user = signed_in_user(request)
    organisation = user.organisation(request.GET.get("organisation", ""))
    entries = QuotaEntry.objects.seen_by(user, organisation)
    entries = entries.select_related("organisation", "pair", "run")
    paginator = Paginator(entries.order_by("-pk"), PAGE_LENGTH)
    query = ""
    if organisation:
        query = urlencode({"organisation": organisation.name}) + "&"
    context = {
        "organisation": organisation,
        "quotas": actions.quotas_of(organisation, user),
        "own": list(user.organisations()),
        "query": query,
        "page": paginator.get_page(request.GET.get("page")),
        "section": "mine",
    }
    return render(request, "submissions/quotas.html", context)
