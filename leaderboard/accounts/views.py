"""Sign-up, sign-in and API tokens; guards that the views of other apps share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from allauth.account.views import SignupView
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from leaderboard.accounts import actions, throttle
from leaderboard.accounts.forms import SignUp as SignUpForm
from leaderboard.accounts.forms import TokenName
from leaderboard.accounts.models import User
from leaderboard.errors import RequestRejected, SiteError, conflicts_refused

Rest = ParamSpec("Rest")
View = Callable[Concatenate[HttpRequest, Rest], HttpResponse]


class SignUp(SignupView):  # type: ignore[misc]
    """Sign-up page. User, organisation and mail come together, or none does."""

    def post(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Charge the attempt, then sign up. Raises ``too_many_attempts``."""
        throttle.charge_sign_up(request)
        return cast("HttpResponse", super().post(request, *args, **options))

    def form_valid(self, form: SignUpForm) -> HttpResponse:
        """Create the account. Raises ``busy`` and ``mail_away``."""
        try:
            with conflicts_refused():
                return cast("HttpResponse", super().form_valid(form))
        except RequestRejected as failure:
            form.add_error(None, failure.advised())
            return self.form_invalid(form, status=failure.status)

    def form_invalid(self, form: SignUpForm, status: int = 422) -> HttpResponse:
        """Show the form again, with its errors."""
        context = self.get_context_data(form=form)
        return cast("HttpResponse", self.render_to_response(context, status=status))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List a user's own tokens, with a form for a new one.

    The new secret is shown once, on the page that answers the form.
    """
    user = signed_in_user(request)
    form = TokenName(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        secret = actions.issue_token(user=user, name=form.cleaned_data["name"])
        form = TokenName()
    alive = user.tokens.filter(revoked__isnull=True).order_by("-pk")
    context = {"form": form, "secret": secret, "tokens": alive, "section": "account"}
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def revoke(request: HttpRequest, token: int) -> HttpResponse:
    """Revoke one of the user's own tokens."""
    if actions.revoke_token(user=signed_in_user(request), token=token):
        messages.success(request, "The token no longer works.")
    return redirect("tokens")


def reader(request: HttpRequest) -> User | None:
    """Return the user who is signed in; None for an anonymous visitor."""
    return request.user if isinstance(request.user, User) else None


def signed_in_user(request: HttpRequest) -> User:
    """Return the user of a view that only signed-in users reach."""
    return cast("User", request.user)


def maintainers_only(view: View[Rest]) -> View[Rest]:
    """Serve a view to maintainers; answer 404 to everybody else."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Rest.args, **options: Rest.kwargs) -> HttpResponse:
        if not cast("User", request.user).is_staff:
            raise Http404
        return view(request, *args, **options)

    return guarded


def carry_out(request: HttpRequest, action: Callable[[], object], *, done: str) -> bool:
    """Call an action. The next page shows ``done``, or the reason of a refusal with its advice."""
    try:
        action()
    except SiteError as failure:
        messages.error(request, failure.advised())
        return False
    messages.success(request, done)
    return True
