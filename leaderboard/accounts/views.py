"""Sign-up, API tokens and organisations; guards that the views of other apps share."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast

from allauth.account.views import SignupView
from allauth.mfa.base.views import AuthenticateView
from allauth.socialaccount.views import SignupView as ProviderSignupView
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from requests import RequestException

from leaderboard.accounts import actions, throttle
from leaderboard.accounts.actions.organisations import INVITATION_DAYS
from leaderboard.accounts.forms import NewInvitation, NewToken, OrganisationName
from leaderboard.accounts.forms import SignUp as SignUpForm
from leaderboard.accounts.models import Role, Scope, User
from leaderboard.errors import Refusal, RequestRejected, SiteError, conflicts_refused, refuse

logger = logging.getLogger(__name__)
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


class ProviderSignUp(ProviderSignupView):  # type: ignore[misc]
    """Page that makes an account for a person whom a provider vouches for."""

    def form_valid(self, form: Any) -> HttpResponse:
        """Create the account, once."""
        try:
            with conflicts_refused():
                return cast("HttpResponse", super().form_valid(form))
        except RequestRejected as failure:
            form.add_error(None, failure.advised())
            return self.form_invalid(form, status=failure.status)

    def form_invalid(self, form: Any, status: int = 422) -> HttpResponse:
        """Show the form again, with its errors."""
        context = self.get_context_data(form=form)
        return cast("HttpResponse", self.render_to_response(context, status=status))


def at_provider(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Serve a view of a sign-in provider if it is configured.

    Raises ``provider_away`` while it does not answer.
    """

    @wraps(view)
    def guarded(request: HttpRequest, provider_id: str = "github") -> HttpResponse:
        if provider_id not in settings.SIGN_IN_PROVIDERS:
            raise Http404
        try:
            return view(request) if provider_id == "github" else view(request, provider_id)
        except RequestException as failure:
            # The exception's own text may quote an address with a code.
            logger.error("sign-in provider: %s", type(failure).__name__)
            raise refuse(Refusal.PROVIDER_AWAY) from None

    return guarded


class SecondFactor(AuthenticateView):  # type: ignore[misc]
    """Page for the code of a second factor, after the password."""

    def post(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Charge the attempt, then check the code. Raises ``too_many_attempts``."""
        throttle.charge_second_factor(request)
        return cast("HttpResponse", super().post(request, *args, **options))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """List a user's own tokens, with a form for a new one.

    The new secret is shown once, on the page that answers the form.
    """
    user = signed_in_user(request)
    form = NewToken(request.POST or None)
    secret = ""
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        secret = actions.issue_token(
            user=user,
            name=asked["name"],
            scope=Scope(asked["scope"]),
            days=asked["days"] or None,
        )
        form = NewToken()
    alive = user.tokens.filter(revoked__isnull=True).order_by("-pk")
    context = {
        "form": form,
        "secret": secret,
        "tokens": alive,
        "now": timezone.now(),
    }
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def revoke(request: HttpRequest, token: int) -> HttpResponse:
    """Revoke one of the user's own tokens."""
    if actions.revoke_token(user=signed_in_user(request), token=token):
        messages.success(request, "The token no longer works.")
    return redirect("tokens")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def organisations(request: HttpRequest) -> HttpResponse:
    """List the user's organisations, with a form for a new one."""
    user = signed_in_user(request)
    form = OrganisationName(request.POST or None)
    status = 422
    if request.method == "POST" and form.is_valid():
        try:
            created = actions.create_organisation(name=form.cleaned_data["name"], by=user)
            return redirect("organisation", created.name)
        except SiteError as failure:
            form.add_error("name", failure.advised())
            status = failure.status
    memberships = user.membership_set.select_related("organisation").order_by("pk")
    context = {"form": form, "memberships": memberships}
    return render(
        request, "accounts/organisations.html", context, status=status if form.errors else 200
    )


@require_safe
def organisation(request: HttpRequest, name: str) -> HttpResponse:
    """Show an organisation: to everybody if it is verified, to its members who belongs to it."""
    found = actions.organisation(name=name)
    user = reader(request)
    members = found.membership_set.select_related("user").order_by("pk")
    mine = next((member for member in members if member.user == user), None)
    unused = found.invitations.filter(used__isnull=True).order_by("-pk")
    context = {
        "organisation": found,
        "members": members if mine else (),
        "mine": mine,
        "owns": mine is not None and mine.role == Role.OWNER,
        "invitations": unused if mine else (),
        "transfers": found.transfers.select_related("model__organisation").order_by("pk"),
        "form": NewInvitation(),
        "now": timezone.now(),
    }
    return render(request, "accounts/organisation.html", context)


@login_required
@require_POST
def invite(request: HttpRequest, name: str) -> HttpResponse:
    """Invite the holder of an address; for owners."""
    form = NewInvitation(request.POST)
    if not form.is_valid():
        messages.error(request, "Give a valid e-mail address and a role. No invitation was sent.")
        return redirect("organisation", name)
    email = form.cleaned_data["email"]
    role = Role(form.cleaned_data["role"])
    carry_out(
        request,
        lambda: actions.invite(
            name=name,
            email=email,
            role=role,
            by=signed_in_user(request),
            link=lambda secret: invitation_link(request, secret),
        ),
        done=f"The invitation is on its way. It is valid for {INVITATION_DAYS} days.",
    )
    return redirect("organisation", name)


@login_required
@require_POST
def withdraw_invitation(request: HttpRequest, name: str, invitation: int) -> HttpResponse:
    """Withdraw an unused invitation; for owners."""
    user = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.withdraw_invitation(name=name, invitation=invitation, by=user),
        done="The link of the invitation no longer works.",
    )
    return redirect("organisation", name)


@login_required
@require_POST
def change_member(request: HttpRequest, name: str, username: str) -> HttpResponse:
    """Change a member's role, or remove the member; for owners, and for those who leave."""
    user = signed_in_user(request)
    to = request.POST.get("to", "")
    if to in Role.values:
        carry_out(
            request,
            lambda: actions.set_role(
                name=name,
                username=username,
                role=Role(to),
                by=user,
            ),
            done="The role was changed.",
        )
    elif to == "out":
        left = carry_out(
            request,
            lambda: actions.remove_member(name=name, username=username, by=user),
            done="The organisation has one member less.",
        )
        if left and user.username == username:
            return redirect("organisations")
    else:
        raise refuse(Refusal.BAD_REQUEST)
    return redirect("organisation", name)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Show an invitation to the person it is for, and accept it by a button."""
    user = signed_in_user(request)
    try:
        if request.method == "POST":
            joined = actions.accept_invitation(secret=secret, by=user)
            messages.success(request, f"You belong to {joined} now.")
            return redirect("organisation", joined.name)
        found = actions.invitation(secret=secret, by=user)
    except SiteError as failure:
        context: dict[str, Any] = {"refusal": failure.to_dict()}
        return render(request, "accounts/invitation.html", context, status=failure.status)
    return render(request, "accounts/invitation.html", {"invitation": found})


def invitation_link(request: HttpRequest, secret: str) -> str:
    """Return the address of an invitation."""
    return request.build_absolute_uri(reverse("invitation", args=[secret]))


def reader(request: HttpRequest) -> User | None:
    """Return the user who is signed in; None for an anonymous visitor."""
    return request.user if isinstance(request.user, User) else None


def signed_in_user(request: HttpRequest) -> User:
    """Return the user of a view that only signed-in users reach."""
    return cast("User", request.user)


def maintainers_only(view: View[Rest]) -> View[Rest]:
    """Serve a view to maintainers; answer 404 to everybody else.

    A maintainer without a second factor is sent to the page that sets one up.
    """

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: Rest.args, **options: Rest.kwargs) -> HttpResponse:
        user = reader(request)
        if user is not None and user.staff_withheld:
            messages.error(request, "Maintainers need a second factor. Set one up first.")
            return redirect("mfa_index")
        if user is None or not user.is_staff:
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
