"""The public ledger's pages: all logs with filters, and one line with the proof that it is in its
log."""

import json
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from evaluator.ledger.notes import vkey
from leaderboard.benchmarks.models import SetPair
from leaderboard.ledger.forms import LedgerFilter
from leaderboard.ledger.models import Entry, Evaluator

PAGE_LENGTH = 50


@require_safe
def ledger(request: HttpRequest) -> HttpResponse:
    """Every line that is wanted, newest first, with the evaluators and the newest heads of their
    logs."""
    wanted = LedgerFilter(request.GET or None)
    entries = Entry.objects.published().matching(**wanted.values())
    page = Paginator(entries, PAGE_LENGTH).get_page(request.GET.get("page"))
    in_use = SetPair.objects.filter(withdrawn_at=None).select_related("private")
    pairs = in_use.filter(private__name=wanted.values().get("set", ""))
    context = {
        "page": page,
        "pair": pairs.order_by("pk").first(),
        "filter": wanted,
        "query": wanted.query(),
        "evaluators": [_about(one) for one in Evaluator.objects.order_by("name")],
        "section": "ledger",
    }
    return render(request, "ledger/ledger.html", context)


@require_safe
def line(request: HttpRequest, evaluator: str, index: int) -> HttpResponse:
    """One line as it was signed, and its inclusion in the newest head."""
    entries = Entry.objects.published().filter(evaluator__name=evaluator, index=index)
    entry = entries.first()
    if entry is None:
        raise Http404("no such line")
    head = entry.evaluator.heads.filter(agrees=True, size__gt=index).order_by("-size").first()
    proof = entry.evaluator.tree().inclusion(index, head.size) if head else ()
    context = {
        "entry": entry,
        "line": json.dumps(entry.line, indent=2, sort_keys=True),
        "head": head,
        "proof": [node.hex() for node in proof],
        "section": "ledger",
    }
    return render(request, "ledger/line.html", context)


@require_safe
def verifier(request: HttpRequest, name: str) -> HttpResponseBase:
    """A stranger's program, as text to be read before it is run."""
    return FileResponse(
        (settings.BASE_DIR / "verify" / name).open("rb"), content_type="text/plain; charset=utf-8"
    )


def _about(evaluator: Evaluator) -> dict[str, Any]:
    head = evaluator.heads.filter(agrees=True).order_by("-size").first()
    return {
        "evaluator": evaluator,
        "head": head,
        "vkey": vkey(evaluator.name, evaluator.public_key),
    }
