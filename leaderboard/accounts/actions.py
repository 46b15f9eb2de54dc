"""Signing up, and issuing API tokens."""

from allauth.account.models import EmailAddress

from leaderboard.accounts.models import ApiToken, Organisation, User
from leaderboard.errors import Refusal, SiteError, conflicts_refused, refuse


def sign_up(
    *, username: str, password: str | None, organisation: str, email: str | None = None
) -> User:
    """Create a user and the organisation they submit for.

    A user without a password can only use API tokens; one with a password signs in with it once
    an address is confirmed, and the caller vouches for ``email``. Raises ``name_taken`` where
    either name is taken.
    """
    with conflicts_refused():
        user = User.objects.create_user(username=username, password=password, email=email)
        Organisation.objects.found(name=organisation, by=user)
        if email:
            EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return user


def issue_token(*, user: User, name: str) -> str:
    """Create an API token and return its secret. Only the secret's digest is stored."""
    _, secret = ApiToken.objects.issue(user=user, name=name)
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
