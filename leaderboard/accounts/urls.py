"""Addresses of accounts. The names that begin with ``account_`` are django-allauth's."""

from allauth.account import views as allauth
from allauth.socialaccount import views as social
from allauth.socialaccount.providers.github import views as github
from allauth.socialaccount.providers.openid_connect import views as openid
from django.urls import include, path, register_converter
from django.urls.converters import StringConverter

from leaderboard.accounts import views


class Base36Converter(StringConverter):
    """A number in base 36, as django-allauth writes a user's id."""

    regex = "[0-9A-Za-z]+"


register_converter(Base36Converter, "base36")

urlpatterns = [
    path("accounts/sign-in/", allauth.login, name="account_login"),
    path("accounts/sign-out/", allauth.logout, name="account_logout"),
    path("accounts/sign-up/", views.SignUp.as_view(), name="account_signup"),
    path("accounts/inactive/", allauth.account_inactive, name="account_inactive"),
    path("accounts/reauthenticate/", allauth.reauthenticate, name="account_reauthenticate"),
    path("accounts/email/", allauth.email, name="account_email"),
    path(
        "accounts/confirm-email/",
        allauth.email_verification_sent,
        name="account_email_verification_sent",
    ),
    path("accounts/confirm-email/<str:key>/", allauth.confirm_email, name="account_confirm_email"),
    path("accounts/password/change/", allauth.password_change, name="account_change_password"),
    path("accounts/password/set/", allauth.password_set, name="account_set_password"),
    path("accounts/password/reset/", allauth.password_reset, name="account_reset_password"),
    path(
        "accounts/password/reset/done/",
        allauth.password_reset_done,
        name="account_reset_password_done",
    ),
    path(
        "accounts/password/reset/key/<base36:uidb36>-<str:key>/",
        allauth.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "accounts/password/reset/key/done/",
        allauth.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("accounts/2fa/authenticate/", views.SecondFactor.as_view(), name="mfa_authenticate"),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path(
        "accounts/github/login/",
        views.at_provider(github.oauth2_login),
        name="github_login",
    ),
    path(
        "accounts/github/login/callback/",
        views.at_provider(github.oauth2_callback),
        name="github_callback",
    ),
    path(
        "accounts/oidc/<str:provider_id>/login/",
        views.at_provider(openid.login),
        name="openid_connect_login",
    ),
    path(
        "accounts/oidc/<str:provider_id>/login/callback/",
        views.at_provider(openid.callback),
        name="openid_connect_callback",
    ),
    path("accounts/providers/", social.connections, name="socialaccount_connections"),
    path(
        "accounts/providers/sign-up/", views.ProviderSignUp.as_view(), name="socialaccount_signup"
    ),
    path(
        "accounts/providers/cancelled/",
        social.login_cancelled,
        name="socialaccount_login_cancelled",
    ),
    path("accounts/providers/error/", social.login_error, name="socialaccount_login_error"),
    path("organisations/", views.organisations, name="organisations"),
    path("organisations/<str:name>/", views.organisation, name="organisation"),
    path("organisations/<str:name>/invite/", views.invite, name="invite"),
    path(
        "organisations/<str:name>/invitations/<int:invitation>/withdraw/",
        views.withdraw_invitation,
        name="withdraw-invitation",
    ),
    path(
        "organisations/<str:name>/members/<str:username>/",
        views.change_member,
        name="change-member",
    ),
    path("invitations/<str:secret>/", views.invitation, name="invitation"),
    path("accounts/tokens/", views.tokens, name="tokens"),
    path("accounts/tokens/<int:token>/revoke/", views.revoke, name="revoke-token"),
]
