"""Rules that we give django-allauth: limits before a password is hashed, mail within a time."""

import logging
from base64 import urlsafe_b64encode
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.http import HttpRequest

from leaderboard.accounts import throttle
from leaderboard.accounts.models import User
from leaderboard.errors import Refusal, refuse

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts of the site.

    - An attempt to sign in is charged in the database, which all processes share, before the
      password is hashed. So is a mail, before it is sent.
    - Every hash of a password waits for its turn.
    - A mail server that does not answer costs ``EMAIL_TIMEOUT`` seconds, then 503.
    """

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the visitor's address, by the proxies that the site trusts."""
        return throttle.visitor(request)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Charge one attempt. Raises ``too_many_attempts``."""
        throttle.charge_sign_in(request, _account(credentials))

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Return the user of these credentials, or None. Raises ``busy`` and
        ``too_many_attempts``."""
        with throttle.hashing():
            user: User | None = super().authenticate(request, **credentials)
        if user is not None:
            throttle.forget_attempts(request, _account(credentials))
        return user

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Store a user who signs up. Raises ``busy``."""
        with throttle.hashing():
            saved: User = super().save_user(request, user, form, commit)
        return saved

    def set_password(self, user: User, password: str) -> None:
        """Store a new password. Raises ``busy``."""
        with throttle.hashing():
            super().set_password(user, password)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail. Raises ``too_many_attempts`` and ``mail_away``."""
        throttle.charge_mail(email)
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException) as failure:
            # The exception's own text may quote the address.
            logger.error("mail was not sent: %s", type(failure).__name__)
            raise refuse(Refusal.MAIL_AWAY) from None


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]
    """Accounts that sign in with another site."""

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        """Store a user who signs up. Raises ``too_many_attempts``."""
        throttle.charge_sign_up(request)
        saved: User = super().save_user(request, sociallogin, form)
        return saved

    def on_authentication_error(self, request: HttpRequest, provider: Any, **about: Any) -> None:
        """Log a failed sign-in by its provider. The exception's own text may quote a code."""
        logger.warning("sign-in with %s failed", getattr(provider, "id", provider))


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Second factors. Their secrets are encrypted under ``SECRET_KEY``, so that a copy of the
    database is of no use for signing in."""

    def encrypt(self, text: str) -> str:
        """Return a secret as it is stored."""
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Return a stored secret."""
        return _cipher().decrypt(encrypted_text.encode()).decode()


def _cipher() -> Fernet:
    derivation = HKDF(
        algorithm=SHA256(),
        length=32,
        salt=None,
        info=b"holdfast second factors",
    )
    key = derivation.derive(settings.SECRET_KEY.encode())
    return Fernet(urlsafe_b64encode(key))


def _account(credentials: dict[str, Any]) -> str:
    """Return the name of the account that is meant, so that an address is no second way to it."""
    given = str(credentials.get("email") or credentials.get("username") or "")
    if "@" not in given:
        return given
    addresses = EmailAddress.objects.select_related("user")
    address = addresses.filter(email__iexact=given).first()
    return str(address.user.username) if address else given
