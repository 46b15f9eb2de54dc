"""Sign-up, sign-in and API tokens; guards that the views of other apps share."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from leaderboard.accounts import actions, throttle
from leaderboard.accounts.forms import SignUp, TokenName
from leaderboard.accounts.models import User
from leaderboard.errors import SiteError
from leaderboard.middleware import refused

Rest = ParamSpec("Rest")
View = Callable[Concatenate[HttpRequest, Rest], HttpResponse]


class SignIn(LoginView):
    """Sign-in page. An attempt is charged before a password is hashed."""

    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Sign in. Answers 429 after too many attempts, 503 where too many passwords are being
        hashed."""
        username = request.POST.get("username", "")
        try:
            throttle.charge_sign_in(request, username)
            with throttle.hashing():
                response = super().post(request, *args, **options)
        except SiteError as failure:
            return refused(request, failure)
        if request.user.is_authenticated:
            throttle.forget_attempts(request, username)
        return response


@require_http_methods(["GET", "HEAD", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Create an account and sign in with it."""
    form = SignUp(request.POST or None)
    status = 422
    try:
        if request.method == "POST":
            throttle.charge_sign_up(request)
        if request.method == "POST" and form.is_valid():
            with throttle.hashing():
                user = actions.sign_up(**form.facts())
            login(request, user)
            return redirect("mine")
    except SiteError as failure:
        if failure.again:
            return refused(request, failure)
        form.add_error(None, failure.advised())
        status = failure.status
    context = {"form": form, "section": "account"}
    return render(
        request, "registration/sign_up.html", context, status=status if form.errors else 200
    )


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
