"""Probe of an endpoint: the answers to public items, and what the whole run would cost."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard.accounts.views import signed_in_user
from leaderboard.errors import explain_code
from leaderboard.submissions import actions
from leaderboard.submissions.models import Probe


@login_required
@require_safe
def probe(request: HttpRequest, probe_id: UUID) -> HttpResponse:
    """Show a probe to the members of its organisation; 404 to others.

    A page that polls gets 204 until there is an answer, and then the part that shows it.
    """
    visible = Probe.objects.visible_to(signed_in_user(request)).select_related("pair")
    found = visible.filter(pk=probe_id).first()
    if found is None:
        raise Http404
    is_polled = request.headers.get("HX-Request") == "true"
    if is_polled and actions.probe_result(found).waiting:
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    template = "submissions/probe_result.html" if is_polled else "submissions/probe.html"
    return render(request, template, probe_context(found))


def probe_context(probe: Probe) -> dict[str, Any]:
    """Return what a page shows of a probe."""
    result = actions.probe_result(probe)
    items = []
    for item in result.items:
        outcome = ""
        if item.answer:
            outcome = item.answer.outcome.name.lower().replace("_", " ")
        items.append((item, explain_code(item.code), outcome))
    return {
        "htmx": settings.HTMX,
        "probe": probe,
        "result": result,
        "problem": explain_code(result.code),
        "items": items,
        "section": "mine",
    }
