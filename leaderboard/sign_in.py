"""Settings of django-allauth: how people sign up and in."""

from typing import Any


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
        "MFA_ADAPTER": "leaderboard.accounts.adapter.MfaAdapter",
        "MFA_SUPPORTED_TYPES": ["totp", "webauthn", "recovery_codes"],
        "MFA_TOTP_ISSUER": "Holdfast",
        "MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN": not secure,
    }
