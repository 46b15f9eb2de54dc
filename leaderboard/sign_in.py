"""Settings of django-allauth: how people sign up and in."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


def sign_in_settings(*, secure: bool) -> dict[str, Any]:
    """Return the settings of accounts and of second factors; ``secure`` where all is https."""
    return {
        "AUTHENTICATION_BACKENDS": ["leaderboard.accounts.backends.Backend"],
        "ACCOUNT_ADAPTER": "leaderboard.accounts.adapter.AccountAdapter",
        "ACCOUNT_FORMS": {"signup": "leaderboard.accounts.forms.SignUp"},
        "ACCOUNT_LOGIN_METHODS": {"username", "email"},
        "ACCOUNT_SIGNUP_FIELDS": ["username*", "email*", "password1*", "password2*"],
        "ACCOUNT_EMAIL_VERIFICATION": "mandatory",
        "ACCOUNT_EMAIL_SUBJECT_PREFIX": "",
        "ACCOUNT_EMAIL_NOTIFICATIONS": True,
        "ACCOUNT_CHANGE_EMAIL": True,
        "ACCOUNT_SESSION_REMEMBER": True,
        # In the browser that signed up; elsewhere the link only confirms.
        "ACCOUNT_LOGIN_ON_EMAIL_CONFIRMATION": True,
        "ACCOUNT_LOGOUT_REDIRECT_URL": "account_login",
        "ACCOUNT_REAUTHENTICATION_METHODS": ["password", "mfa"],
        "ACCOUNT_DEFAULT_HTTP_PROTOCOL": "https" if secure else "http",
        # leaderboard.accounts.throttle counts the first two in the database, for all processes
        # together; the last is for codes of second factors.
        "ACCOUNT_RATE_LIMITS": {"login": None, "signup": None, "login_failed": "5/300s/key"},
        # An address that a provider states never opens, or is joined to, an account that is here:
        # its owner signs in first, and connects the two.
        "SOCIALACCOUNT_ADAPTER": "leaderboard.accounts.adapter.SocialAccountAdapter",
        "SOCIALACCOUNT_FORMS": {"signup": "leaderboard.accounts.forms.ProviderSignUp"},
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION": False,
        "SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT": False,
        "SOCIALACCOUNT_EMAIL_REQUIRED": True,
        "SOCIALACCOUNT_AUTO_SIGNUP": False,
        "SOCIALACCOUNT_LOGIN_ON_GET": False,
        "SOCIALACCOUNT_STORE_TOKENS": False,
        "SOCIALACCOUNT_REQUESTS_TIMEOUT": 5,
        "MFA_ADAPTER": "leaderboard.accounts.adapter.MfaAdapter",
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        "MFA_TOTP_ISSUER": "Holdfast",
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": not secure,
    }


@dataclass(frozen=True)
class Client:
    """Registration of this site with a sign-in provider; empty where there is none."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Providers:
    """Sign-in providers that are configured: allauth's settings, and where their forms lead."""

    settings: dict[str, Any] = field(repr=False)
    targets: dict[str, str]


def provider_settings(*, github: Client, huggingface: Client, issuer: str) -> Providers:
    """Return the sign-in providers that are configured.

    Both use a state and PKCE. ``issuer`` is the OpenID issuer of Hugging Face.
    """
    providers: dict[str, Any] = {}
    targets: dict[str, str] = {}
    if github.id:
        app = {"client_id": github.id, "secret": github.secret}
        scope = ["read:user", "user:email"]
        providers["github"] = {"APPS": [app], "SCOPE": scope, "OAUTH_PKCE_ENABLED": True}
        targets["github"] = "https://github.com"
    if huggingface.id:
        hub = {
            "provider_id": "huggingface",
            "name": "Hugging Face",
            "client_id": huggingface.id,
            "secret": huggingface.secret,
            "settings": {"server_url": issuer},
        }
        providers["openid_connect"] = {"APPS": [hub], "OAUTH_PKCE_ENABLED": True}
        parts = urlsplit(issuer)
        targets["huggingface"] = f"{parts.scheme}://{parts.netloc}"
    return Providers(providers, targets)
