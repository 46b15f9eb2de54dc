"""Status of the evaluators: the pools for all visitors, check results for maintainers."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from leaderboard.accounts.views import reader
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """Show the pools, and to maintainers every check result and every evaluator."""
    user = reader(request)
    is_maintainer = user is not None and user.is_staff
    evaluators = []
    if is_maintainer:
        for row in actions.with_condition(Evaluator.objects.order_by("pk")):
            evaluators.append((row, actions.condition(row)))
    context = {"status": actions.status(), "evaluators": evaluators}
    return render(request, "submissions/status.html", context)
