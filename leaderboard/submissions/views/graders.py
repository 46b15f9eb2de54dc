"""Graders of a pair, for maintainers: having answers graded again, and the board's grader."""

from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from leaderboard.accounts.views import carry_out, maintainers_only, signed_in_user
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import explain_code
from leaderboard.submissions import actions
from leaderboard.submissions.forms import GraderForm, SwitchForm
from leaderboard.submissions.models import Rescoring

PAGE_LENGTH = 50


@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def graders(request: HttpRequest, slug: str) -> HttpResponse:
    """List all rescorings of a pair, newest first, and order one of every run."""
    pair = get_object_or_404(SetPair, slug=slug)
    form = GraderForm(request.POST or None)
    if not form.is_valid():
        return _page(request, pair, form, _switch_form())
    grader = form.cleaned_data["grader"]
    by = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.ask_all_again(slug=slug, grader=grader, by=by),
        done="The evaluators are asked.",
    )
    return redirect("set-graders", slug)


@maintainers_only
@require_POST
def switch(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the board from another grader's outcomes."""
    pair = get_object_or_404(SetPair, slug=slug)
    form = _switch_form(request.POST)
    if not form.is_valid():
        return _page(request, pair, GraderForm(), form)
    by = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.switch_grader(slug=slug, by=by, **form.cleaned_data),
        done="The board is made anew.",
    )
    return redirect("set-graders", slug)


@maintainers_only
@require_POST
def grade_again(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Order the rescoring of one run."""
    form = GraderForm(request.POST)
    grader = form.cleaned_data["grader"] if form.is_valid() else ""
    by = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.ask_again(run=run_id, grader=grader, by=by),
        done="Its evaluator is asked to grade it again.",
    )
    return redirect("run", run_id)


def _switch_form(data: Any = None) -> SwitchForm:
    return SwitchForm(data, auto_id="switch_%s")


def _page(
    request: HttpRequest, pair: SetPair, form: GraderForm, switch_form: SwitchForm
) -> HttpResponse:
    orders = Rescoring.objects.filter(run__submission__pair=pair).order_by("-pk")
    orders = orders.select_related("run__submission__model", "evaluator", "asked_by")
    page = Paginator(orders, PAGE_LENGTH).get_page(request.GET.get("page"))
    rows = []
    for order in page:
        problem = explain_code(order.code)
        rows.append((order, order.changes(), problem))
    context = {
        "pair": pair,
        "form": form,
        "switch_form": switch_form,
        "page": page,
        "orders": rows,
    }
    status = 422 if form.errors or switch_form.errors else 200
    return render(request, "submissions/pair_graders.html", context, status=status)
