"""Signing up, and issuing API tokens."""

from datetime import timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.utils import timezone

from leaderboard.accounts.models import ApiToken, Organisation, Scope, User
from leaderboard.errors import Refusal, SiteError, conflicts_refused, refuse


def sign_up(
    *,
    username: str,
    password: str | None,
    organisation: str,
    email: str | None = None,
) -> User:
    """Create a user and the organisation they submit for.

    A user without a password can only use API tokens; one with a password signs in with it once
    an address is confirmed, and the caller vouches for ``email``. Raises ``name_taken`` where
    either name is taken.
    """
    with conflicts_refused():
        user = User.objects.create_user(username=username, password=password, email=email)
        Organisation.objects.create_with_owner(name=organisation, by=user)
        if email:
            EmailAddress.objects.create(
                user=user,
                email=email,
                primary=True,
                verified=True,
            )
    return user


def issue_token(
    *,
    user: User,
    name: str,
    scope: Scope = Scope.MANAGE,
    days: int | None = None,
) -> str:
    """Create an API token and return its secret. Only the secret's digest is stored.

    It expires after ``days``, or never.
    """
    expires = timezone.now() + timedelta(days=days) if days else None
    _, secret = ApiToken.objects.issue(
        user=user,
        name=name,
        scope=scope,
        expires=expires,
    )
    return secret


def revoke_token(*, user: User, token: int) -> bool:
    """Revoke one of a user's own tokens. Return False where they have no valid one of this id."""
    return bool(user.tokens.filter(pk=token).revoke())


def enrol(*, username: str) -> User:
    """Return the user of this name; where there is none, create one who can only use tokens."""
    known = User.objects.filter(username__iexact=username).first()
    if known is None:
        try:
            return sign_up(username=username, password=None, organisation=username)
        except SiteError:
            # Another process enrolled the same person meanwhile, or an organisation has the name.
            known = User.objects.filter(username__iexact=username).first()
            if known is None:
                raise
    return known


def person(*, username: str) -> User:
    """Return the user of this name. Raises ``unknown_user``."""
    known = User.objects.filter(username__iexact=username).first()
    if known is None:
        raise refuse(Refusal.UNKNOWN_USER)
    return known


def set_maintainer(*, username: str, maintains: bool) -> User:
    """Make a user a maintainer, or end it. Raises ``unknown_user``."""
    user = person(username=username)
    user.is_staff = maintains
    user.save(update_fields=["is_staff"])
    return user


def set_active(*, username: str, active: bool) -> User:
    """Suspend a user, whose session and tokens then open nothing, or end it. Raises
    ``unknown_user``."""
    user = person(username=username)
    user.is_active = active
    user.save(update_fields=["is_active"])
    return user


def reset_second_factor(*, username: str) -> int:
    """Delete a user's second factors, recovery codes included. Return how many there were.

    Raises ``unknown_user``.
    """
    factors = Authenticator.objects.filter(user=person(username=username))
    deleted: int = factors.delete()[0]
    return deleted
