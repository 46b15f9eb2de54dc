"""For maintainers: having answers graded again, what came of it, and by which grader a board is made."""

from typing import Any, cast
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from leaderboard.accounts.models import User
from leaderboard.accounts.views import carry_out, maintainers_only
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import explain_code
from leaderboard.submissions import actions
from leaderboard.submissions.forms import GraderForm, SwitchForm
from leaderboard.submissions.models import Rescoring

PAGE_LENGTH = 50


@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def graders(request: HttpRequest, slug: str) -> HttpResponse:
    """The log of all that was graded again on a pair, newest first; and a form to have every run graded again."""
    pair = get_object_or_404(SetPair, slug=slug)
    form = GraderForm(request.POST or None)
    if form.is_valid():
        asked = {
            "slug": slug,
            "grader": form.cleaned_data["grader"],
            "by": cast("User", request.user),
        }
        carry_out(request, lambda: actions.ask_all_again(**asked), done="The evaluators are asked.")
        return redirect("set-graders", slug)
    return render(
        request,
        "submissions/pair_graders.html",
        _context(request, pair, form),
        status=_status(form),
    )


@maintainers_only
@require_POST
def switch(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the board from another grader's outcomes."""
    pair = get_object_or_404(SetPair, slug=slug)
    form = SwitchForm(request.POST, auto_id="switch_%s")
    if not form.is_valid():
        context = _context(request, pair, GraderForm(), switch_form=form)
        return render(request, "submissions/pair_graders.html", context, status=422)
    asked = {"slug": slug, "by": cast("User", request.user), **form.cleaned_data}
    carry_out(request, lambda: actions.switch_grader(**asked), done="The board is made anew.")
    return redirect("set-graders", slug)


@maintainers_only
@require_POST
def again(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Have one run graded again."""
    form = GraderForm(request.POST)
    grader = form.cleaned_data["grader"] if form.is_valid() else ""
    by = cast("User", request.user)
    done = "Its evaluator is asked to grade it again."
    carry_out(request, lambda: actions.ask_again(run=run_id, grader=grader, by=by), done=done)
    return redirect("run", run_id)


def _status(form: GraderForm) -> int:
    return 422 if form.errors else 200


def _context(
    request: HttpRequest, pair: SetPair, form: GraderForm, switch_form: SwitchForm | None = None
) -> dict[str, Any]:
    orders = Rescoring.objects.filter(run__submission__pair=pair).order_by("-pk")
    orders = orders.select_related("run__submission__model", "evaluator", "asked_by")
    page = Paginator(orders, PAGE_LENGTH).get_page(request.GET.get("page"))
    return {
        "pair": pair,
        "form": form,
        "switch_form": switch_form or SwitchForm(auto_id="switch_%s"),
        "page": page,
        "orders": [
            (order, order.changes(), explain_code(order.code) if order.code else None)
            for order in page
        ],
    }
