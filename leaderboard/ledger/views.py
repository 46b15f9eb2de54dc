"""Pages of the public ledger: all logs with filters, and one line with its inclusion proof."""

import json
from collections.abc import Sequence

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
    """List the lines that match the filters, newest first, and every evaluator with its keys."""
    form = LedgerFilter(request.GET or None)
    entries = Entry.objects.published().matching(**form.values())
    page = Paginator(entries, PAGE_LENGTH).get_page(request.GET.get("page"))
    in_use = SetPair.objects.filter(withdrawn_at=None).select_related("private")
    pairs = in_use.filter(private__name=form.values().get("set", ""))
    evaluators = []
    for evaluator in Evaluator.objects.order_by("name"):
        agreeing = evaluator.heads.filter(agrees=True)
        facts = {
            "evaluator": evaluator,
            "head": agreeing.order_by("-size").first(),
            "vkey": vkey(evaluator.name, evaluator.public_key),
        }
        evaluators.append(facts)
    context = {
        "page": page,
        "pair": pairs.order_by("pk").first(),
        "filter": form,
        "query": form.query(),
        "evaluators": evaluators,
        "section": "ledger",
    }
    return render(request, "ledger/ledger.html", context)


@require_safe
def line(request: HttpRequest, evaluator: str, index: int) -> HttpResponse:
    """Show one line as it was signed, and its inclusion in the newest head."""
    entries = Entry.objects.published().filter(evaluator__name=evaluator, index=index)
    entry = entries.first()
    if entry is None:
        raise Http404("no such line")
    over_it = entry.evaluator.heads.filter(agrees=True, size__gt=index)
    head = over_it.order_by("-size").first()
    proof: Sequence[bytes] = ()
    if head:
        proof = entry.evaluator.tree().inclusion(index, head.size)
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
    """Serve a program of third parties as text, to be read before it is run."""
    path = settings.BASE_DIR / "verify" / name
    return FileResponse(path.open("rb"), content_type="text/plain; charset=utf-8")
