"""Authors' replies to published runs, on the run's page."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from leaderboard.accounts.views import carry_out, maintainers_only, signed_in_user
from leaderboard.submissions import actions
from leaderboard.submissions.forms import HideReplyForm, ReplyForm


@login_required
@require_POST
def write(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Write the reply to a run; an empty one withdraws it."""
    user = signed_in_user(request)
    form = ReplyForm(request.POST)
    text = request.POST.get("text", "")
    if form.is_valid():
        text = form.cleaned_data["text"]
    if text.strip():
        carry_out(
            request,
            lambda: actions.write_reply(run=run_id, text=text, by=user),
            done="The reply is shown with the result.",
        )
    else:
        carry_out(
            request,
            lambda: actions.withdraw_reply(run=run_id, by=user),
            done="The reply is withdrawn.",
        )
    return redirect("run", run_id)


@maintainers_only
@require_POST
def hide(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Hide the reply to a run for a reason, or show it again without one."""
    user = signed_in_user(request)
    form = HideReplyForm(request.POST)
    why = request.POST.get("why", "")
    if form.is_valid():
        why = form.cleaned_data["why"]
    carry_out(
        request,
        lambda: actions.hide_reply(run=run_id, why=why, by=user),
        done="The reply is hidden." if why.strip() else "The reply is shown.",
    )
    return redirect("run", run_id)
