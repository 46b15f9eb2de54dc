"""Joining, and giving programs a way in."""

from leaderboard.accounts.models import ApiToken, Membership, Organisation, User
from leaderboard.errors import Refusal, SiteError, conflicts_refused, refuse


def sign_up(*, username: str, password: str | None, organisation: str) -> User:
    """Make a person and the organisation they submit for; without a password they use tokens only.

    Raises ``name_taken`` where either name is here already.
    """
    with conflicts_refused():
        user = User.objects.create_user(username=username, password=password)
        Membership.objects.create(
            user=user, organisation=Organisation.objects.create(name=organisation)
        )
    return user


def issue_token(*, user: User, name: str) -> str:
    """Make an API token and return its secret, which nobody can read again."""
    _, secret = ApiToken.objects.issue(user=user, name=name)
    return secret


def revoke_token(*, user: User, token: int) -> bool:
    """End one of a person's own tokens. False where they have none of this number that is still
    alive."""
    return bool(user.tokens.filter(pk=token).revoke())


def enrol(*, username: str) -> User:
    """The person of this name; where there is none, one who can use tokens only."""
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
    """The person of this name. Raises ``unknown_user``."""
    known = User.objects.filter(username__iexact=username).first()
    if known is None:
        raise refuse(Refusal.UNKNOWN_USER)
    return known


def set_maintainer(*, username: str, maintains: bool) -> User:
    """Let a person act as maintainer, or end it. Raises ``unknown_user``."""
    user = person(username=username)
    user.is_staff = maintains
    user.save(update_fields=["is_staff"])
    return user
