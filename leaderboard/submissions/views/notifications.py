"""Choice of a user's mail, and the webhooks of an organisation with the log of deliveries."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from leaderboard.accounts.views import carry_out, signed_in_user
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.forms import MailForm, WebhookForm
from leaderboard.submissions.models import MailChoice

SHOWN_DELIVERIES = 20


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def notifications(request: HttpRequest) -> HttpResponse:
    """Show and store what the user wants mail about."""
    user = signed_in_user(request)
    chosen = MailChoice.objects.filter(user=user).first() or MailChoice()
    initial = {"ends": chosen.ends, "results": chosen.results}
    form = MailForm(request.POST or None, initial=initial)
    if request.method == "POST":
        # Boxes that are not ticked are not sent: an empty form is a choice too.
        ends = "ends" in request.POST
        results = "results" in request.POST
        actions.choose_mail(user=user, ends=ends, results=results)
        messages.success(request, "Your choice is stored.")
        return redirect("notifications")
    return render(request, "submissions/notifications.html", {"form": form})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def webhooks(request: HttpRequest, name: str) -> HttpResponse:
    """List an organisation's webhooks, with a form for a new one; for owners.

    The new secret is shown once, on the page that answers the form.
    """
    user = signed_in_user(request)
    organisation = actions.owned_webhooks(organisation=name, by=user)
    form = WebhookForm(request.POST or None)
    secret = ""
    refused_status = 422
    if request.method == "POST" and form.is_valid():
        try:
            url = form.cleaned_data["url"]
            _, secret = actions.add_webhook(organisation=name, url=url, by=user)
            form = WebhookForm()
        except SiteError as failure:
            form.add_error("url", failure.advised())
            refused_status = failure.status
    rows = []
    for webhook in organisation.webhooks.order_by("pk"):
        newest_first = webhook.deliveries.order_by("-moment", "-pk")
        rows.append((webhook, list(newest_first[:SHOWN_DELIVERIES])))
    context = {
        "organisation": organisation,
        "form": form,
        "secret": secret,
        "webhooks": rows,
    }
    has_failed = form.is_bound and bool(form.errors)
    status = refused_status if has_failed else 200
    return render(request, "submissions/webhooks.html", context, status=status)


@login_required
@require_POST
def remove_webhook(request: HttpRequest, name: str, webhook: int) -> HttpResponse:
    """Delete a webhook; for owners."""
    user = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.remove_webhook(organisation=name, webhook=webhook, by=user),
        done="The webhook is called no more.",
    )
    return redirect("webhooks", name)


@login_required
@require_POST
def ping_webhook(request: HttpRequest, name: str, webhook: int) -> HttpResponse:
    """Call a webhook to try it; for owners."""
    user = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.ping_webhook(organisation=name, webhook=webhook, by=user),
        done="The webhook will be called within seconds. Load this page again to see its answer.",
    )
    return redirect("webhooks", name)
